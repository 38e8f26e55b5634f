"""The table `prices`: made whole, or from the first day on which the raw prices are others than those that it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from eraflow.config import Quality, fingerprint
from eraflow.pipeline.fresh import Freshness, Made
from eraflow.sources import faults, prices, sessions, updates
from eraflow.sources.faults import Faults
from eraflow.sources.files import reading
from eraflow.tables import Part, Store, Version, from_day

SEEN = "prices_seen"


@dataclass(frozen=True)
class PriceTable:
    """What the table is made from: what `read` gives, the raw prices and their days, and what faulty rows do.

    Beside it stands the table `prices_seen` (`faults.SEEN`): what the files held when they were last read. It is
    written before the prices that come of it, whose manifest names its version; where files have changed and no price
    has, it is written alone.
    """

    store: Store
    fresh: Freshness
    read: Callable[[], tuple[DataFrame, sessions.Read]]
    source: str
    min_tickers: int
    quality: Quality

    def version(self, settings: object, files: object) -> Version:
        """A fresh version. Raises InputError, with nothing written, where the raw prices are refused.

        `settings` are what of the config the raw prices depend on, `files` what tells that the files have changed.
        """
        recipe = [settings, self.quality.policies]
        state = read = fingerprint(recipe, files)
        current = self.store.latest("prices")
        last = self.seen(current) if current else None
        if last and last.manifest["read"] == read:
            state = last.manifest["state"]  # of the files that the table was made from: these held the same

        def make() -> Made:
            raw, days = self.read()
            with reading(), _cached(faults.seen(raw).unionByName(faults.repeats(raw))) as seen:
                found = self._judged(seen, raw)
                sound = faults.sound(raw, found, self.quality.policies)
                sessions.refuse_few_tickers(days, self.source, self.min_tickers)
                written = self._write(seen, found, read, state)
            return self._made(prices.bars(sound, days.calendars, self.quality.policies), written)

        def make_later(there: Version) -> Made | Version | None:
            before = self.seen(there)
            return self._later(there, before, read) if before else None

        lost = current is not None and last is None  # somebody has removed what the files held: all is read again
        return self.fresh.version("prices", recipe, state, (), make, make_later, ("year",), again=lost)

    def seen(self, made: Version) -> Version | None:
        """What the files held when they were last found to be what this version of the prices holds."""
        latest, number = self.store.latest(SEEN), made.manifest.get("seen")
        if latest is None or number is None:
            return None
        is_newest = latest.number == number or latest.manifest["same_as"] == made.number
        return latest if is_newest else self.store.version(SEEN, number)

    def _later(self, there: Version, before: Version, read: str) -> Made | Version:
        raw, days = self.read()
        stored, earlier = self.store.read(there), self.store.read(before)
        with (
            reading(),
            _cached(faults.seen(raw)) as rows,
            _cached(updates.changed(rows, earlier)) as changes,
        ):
            some = updates.within(raw, changes, F.year("date"))
            others = updates.repeats_outside(earlier, changes)
            with _cached(rows.unionByName(faults.repeats(some)).unionByName(others)) as seen:
                found = self._judged(seen, raw)
                policies = self.quality.policies
                sound = faults.sound(raw, found, policies)
                old = updates.within(stored, changes, F.col("year"))
                recent = faults.sound(some, found, policies)
                update = updates.compare(recent, old)
                self.fresh.progress.note(f"table prices: {update}")
                if update.since is None:
                    self._write(seen, found, read, before.manifest["state"], same_as=there)
                    return there
                sessions.refuse_few_tickers(days, self.source, self.min_tickers)
                written = self._write(seen, found, read, read)
            frames = []
            if update.first:
                anchors = updates.anchors(stored, update.first)
                frames = [prices.bars(sound, days.calendars, policies, anchors, update.first)]
            if update.first_sector:
                frames += [updates.relabelled(stored, recent, update.first_sector, update.first)]
            part = Part(update.first or date.max, from_day(update.since).condition, update.first_sector or date.max)
            return self._made(reduce(DataFrame.unionByName, frames), written, part)

    def _judged(self, seen: DataFrame, raw: DataFrame) -> Faults:
        found = faults.judged(seen, raw, self.quality.policies, self.quality.refuse_share, self.source)
        if found.rows:
            self.fresh.progress.note(f"table prices: {found}")
        return found

    def _write(self, seen: DataFrame, found: Faults, read: str, state: str, same_as: Version | None = None) -> Version:
        same = same_as.number if same_as else None
        manifest = {"read": read, "state": state, "faults": dict(found.rows), "same_as": same}
        return self.store.write(SEEN, seen.coalesce(1), fingerprint(read, state), manifest=manifest)

    def _made(self, bars: DataFrame, seen: Version, part: Part | None = None) -> Made:
        return Made(bars, {"source": self.source, "seen": seen.number}, part)


@contextmanager
def _cached(frame: DataFrame) -> Iterator[DataFrame]:
    """A frame that is read several times; it has some rows a ticker and year."""
    frame = frame.cache()
    try:
        yield frame
    finally:
        frame.unpersist()
