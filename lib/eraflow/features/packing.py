"""Features as arrays: some elements of one, and which blocks of packed rows hold a feature set."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from eraflow.errors import InputError


def elements(array: Column, taken: Sequence[bool]) -> Column:
    """Some elements of an array column, a flag for each of its own; an array of another length is an error.

    The array must be a plain column: an expression would be evaluated anew for each element.
    """
    places = F.array(*(F.lit(place) for place, is_taken in enumerate(taken) if is_taken))
    return of_width(array, len(taken), F.transform(places, lambda place: F.get(array, place)))


def of_width(array: Column, width: int, made: Column) -> Column:
    """What is `made` of an array of features; one of another length is an error."""
    fault = F.concat(F.lit("feature arrays have "), F.size(array), F.lit(f" values, not {width}"))
    return F.when(F.size(array) == width, made).otherwise(F.raise_error(fault))


def narrowed(rows: DataFrame, taken: Sequence[bool]) -> DataFrame:
    """Rows with some of their features, told by a flag for each."""
    return rows if all(taken) else rows.withColumn("features", elements(F.col("features"), taken))


@dataclass(frozen=True)
class PackedSets:
    """The features of packed rows: `names` in order, every set and every block as places among these.

    Sets overlap as they like. A block is a column of the rows, an array of its features in the order of `names`; no
    feature is in two blocks.
    """

    names: tuple[str, ...]
    sets: Mapping[str, Sequence[int]]
    blocks: Mapping[str, Sequence[int]]

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> PackedSets:
        """From what a manifest keeps: `features`, `sets`, `blocks`."""
        return cls(tuple(manifest["features"]), manifest["sets"], manifest["blocks"])

    def chosen(self, wanted: Sequence[str], key: str = "classic.features") -> tuple[tuple[str, ...], Column]:
        """The features of these sets together, each once, and an array of them; only blocks that hold some are read.

        They come in the order of the blocks, so that a set that is whole blocks costs nothing more than reading them.
        InputError, which names the config's key, where there is no such set.
        """
        held = set(self._places(wanted, key))
        read = {name: [place in held for place in places] for name, places in self.blocks.items()}
        read = {name: taken for name, taken in read.items() if any(taken)}
        # Picked from each block by itself: blocks put together would be put together anew for each element.
        arrays = [F.col(name) if all(taken) else elements(F.col(name), taken) for name, taken in read.items()]
        names = [self.names[place] for name in read for place in self.blocks[name] if place in held]
        return tuple(names), F.concat(*arrays)

    def within(self, names: Collection[str]) -> dict[str, tuple[str, ...]]:
        """The sets that hold none but these features, with their members in the set's own order."""
        held = set(names)
        return {name: members for name, members in self._members.items() if members and held.issuperset(members)}

    @cached_property
    def _members(self) -> dict[str, tuple[str, ...]]:
        return {name: tuple(self.names[place] for place in places) for name, places in self.sets.items()}

    def _places(self, wanted: Sequence[str], key: str) -> list[int]:
        if unknown := [name for name in wanted if name not in self.sets]:
            raise InputError(f"{key}: there is no feature set {unknown[0]!r}; choose one of {', '.join(self.sets)}.")
        if empty := [name for name in wanted if not self.sets[name]]:
            raise InputError(f"{key}: the feature set {empty[0]!r} has no features; choose another one.")
        return [place for name in wanted for place in self.sets[name]]
