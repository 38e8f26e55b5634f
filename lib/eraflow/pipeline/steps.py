"""How tables follow from each other: a list of steps, each of which is taken only where its table is not fresh."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from pyspark.sql import DataFrame

from eraflow import retention
from eraflow.config import fingerprint
from eraflow.definitions import code, root
from eraflow.progress import Progress
from eraflow.tables import Part, Store, Version


@dataclass(frozen=True)
class Made:
    """A frame for a table: all of it, or the part that is new.

    `content` is a hash of all that the table then holds, where one is known: a file that was written again as it was
    makes no other data. `beside` are versions that were written with it and are kept as long as it is; `held` are
    persisted frames that it reads, let go once it is written.
    """

    frame: DataFrame
    manifest: Mapping[str, object]
    part: Part | None = None
    content: str | None = None
    beside: tuple[Version, ...] = ()
    held: tuple[DataFrame, ...] = ()


@dataclass(frozen=True)
class Step:
    """How one table follows from others.

    `settings` are the part of the config that decides its content. With the code that `make` reaches and the recipes
    of `inputs` they are its recipe: each recipe has a table of its own. `state` is what its raw data is, asked for with
    the version that is there. `needs` is what the table takes from its inputs, where that is not everything: what else
    changes in them leaves it fresh; inputs named `by_content` may be of another recipe then. `again` says of the
    version that is there whether it is to be made in any case. Where only the state or the inputs are others than those
    of that version, `make_later` may make just what is new, or find that nothing is; it returns None where all has to
    be made.
    """

    name: str
    settings: object
    inputs: tuple[Version, ...]
    make: Callable[[], Made]
    make_later: Callable[[Version], Made | Version | None] | None = None
    partition_by: tuple[str, ...] = ()
    state: Callable[[Version | None], object] = lambda current: None
    again: Callable[[Version], bool] = lambda current: False
    needs: object = None
    by_content: tuple[str, ...] = ()

    @cached_property
    def recipe(self) -> str:
        inputs = [version.recipe for version in self.inputs if version.name not in self.by_content]
        return fingerprint(self.name, self.settings, inputs, code(root(self.make)))

    @property
    def table(self) -> str:
        return f"{self.name}/{self.recipe}"

    def asked(self, current: Version | None) -> str:
        """A hash of what the table would be made from now."""
        inputs = self.needs or [version.fingerprint for version in self.inputs]
        return fingerprint(self.recipe, self.state(current), inputs)

    def is_fresh(self, current: Version) -> bool:
        """Whether this version is what would be made now."""
        return current.manifest.get("asked") == self.asked(current) and not self.again(current)


Versions = dict[str, Version]  # by the names of their tables
NextStep = Callable[[Versions], Step]  # of the versions of the tables before


@dataclass(frozen=True)
class Steps:
    """Takes steps over the tables of a store."""

    store: Store
    progress: Progress

    def taken(self, steps: Sequence[NextStep], found: Versions | None = None) -> Versions:
        """Fresh versions of all tables of the list, in its order, beside those of `found`."""
        versions = dict(found or {})
        for following in steps:
            step = following(versions)
            versions[step.name] = self._version(step)
        retention.used(self.store, versions.values())
        return versions

    def _version(self, step: Step) -> Version:
        """The newest version if it is fresh, else a new one, which one process at a time makes."""
        self.store.refuse_older(step.name)
        if fresh := self._fresh(step):
            return fresh
        with self.store.lock(self.progress.note):
            # Somebody else may have made it while this process waited.
            return self._fresh(step) or self._made(step, self.store.latest(step.table))

    def _fresh(self, step: Step) -> Version | None:
        current = self.store.latest(step.table)
        if current is None or not step.is_fresh(current):
            return None
        self.progress.note(f"table {current.name}: version {current.number} is fresh")
        return current

    def _made(self, step: Step, current: Version | None) -> Version:
        self.progress.stage(f"building table {step.name}")
        asked = step.asked(current)
        made = step.make_later(current) if current and step.make_later else None
        if isinstance(made, Version):
            return made
        made = made or step.make()
        inputs, manifest = (*step.inputs, *made.beside), {**made.manifest, "asked": asked}
        try:
            version = self.store.write(
                step.table, made.frame, made.content or asked, inputs, manifest, step.partition_by, made.part
            )
        finally:
            for frame in made.held:
                frame.unpersist()
        since = f" from {made.part.since} on" if made.part and made.part.since > date.min else ""
        since = since if made.part is None or made.part.since < date.max else ", in which nothing has changed"
        self.progress.note(f"table {step.name}: version {version.number} written{since}")
        return version
