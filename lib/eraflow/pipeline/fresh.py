"""Whether a table is what its config, its inputs and the code would make now; if not, it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame

from eraflow.config import fingerprint
from eraflow.pipeline.versions import code
from eraflow.progress import Progress
from eraflow.tables import Part, Store, Version


@dataclass(frozen=True)
class Made:
    """A frame for a table: all of it, or the part that is new.

    `content` is a hash of all that the table then holds, where one is known: a file that was written again as it was
    makes no other data.
    """

    frame: DataFrame
    manifest: Mapping[str, object]
    part: Part | None = None
    content: str | None = None


@dataclass(frozen=True)
class Freshness:
    """Gives fresh versions of the tables of a store."""

    store: Store
    progress: Progress

    def version(
        self,
        table: str,
        recipe: object,
        state: object,
        inputs: Sequence[Version],
        make: Callable[[], Made],
        make_later: Callable[[Version], Made | Version | None] | None = None,
        partition_by: Sequence[str] = (),
        again: bool = False,
        needs: object = None,
    ) -> Version:
        """The newest version if it is fresh, else a new one.

        `recipe` is the part of the config that the table depends on, `state` what its raw data is. Where only the state
        or the inputs are others than those of the version that is there, `make_later` may make just what is new;
        it returns None where all has to be made. `again` makes it in any case. `needs` is what the table takes from its
        inputs, where that is not everything: what else changes in them leaves it fresh.
        """
        # Other code may compute something else from the same config.
        recipe = fingerprint(table, recipe, code("sources", "features"))
        wanted = fingerprint(recipe, state, needs or [version.fingerprint for version in inputs])
        there = self.store.latest(table)
        if there and there.manifest.get("asked") == wanted and not again:
            self.progress.note(f"table {table}: version {there.number} is fresh")
            return there
        self.progress.stage(f"building table {table}")
        made: Made | Version | None = None
        if there and make_later and there.manifest.get("recipe") == recipe:
            made = make_later(there)
        if isinstance(made, Version):
            return made
        made = made or make()
        manifest = {**made.manifest, "recipe": recipe, "asked": wanted}
        version = self.store.write(table, made.frame, made.content or wanted, inputs, manifest, partition_by, made.part)
        since = f" from {made.part.since} on" if made.part and made.part.since > date.min else ""
        since = since if made.part is None or made.part.since < date.max else ", in which nothing has changed"
        self.progress.note(f"table {table}: version {version.number} written{since}")
        return version
