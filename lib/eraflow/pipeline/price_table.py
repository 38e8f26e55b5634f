"""The steps `prices` and `quality`: the raw prices that are sound, and what is left out of them or suspicious.

Beside the prices stands the table `prices_seen` (`fault_rows.SEEN`): what the files held when they were last read. It
is written before the prices that come of it, whose manifest names its version; where files have changed and no price
has, it is written alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import reduce

import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame

from eraflow.config import Config, fingerprint
from eraflow.errors import InputError
from eraflow.packages import Collecting, Source, frame_of
from eraflow.pipeline.site import Days, Site
from eraflow.pipeline.steps import Made, Step
from eraflow.session import slots
from eraflow.sources import faults, lives, price_files, prices, quality, reference, sessions, synthetic, updates
from eraflow.sources.bars import Anchor
from eraflow.sources.fault_rows import SEEN, SEEN_SQL, marked
from eraflow.sources.faults import Faults
from eraflow.sources.files import listed, reading
from eraflow.sources.raw_prices import complete
from eraflow.tables import Part, Store, Version, from_day
from eraflow.ticker_rows import MOST_TICKERS, TickerRows, too_many

SEEN_TABLE = "prices_seen"
_PARTS = 4  # of what is held that go into one file a year


def prices_step(site: Site, days: Days) -> Step:
    """Checked daily prices. InputError, with nothing written, where the source has faults."""
    settings, files = _source(site.config, site.store, days)
    read = fingerprint(settings, site.config.quality.policies, files)

    def state(current: Version | None) -> str:
        seen = seen_with(site.store, current) if current else None
        if seen and seen.manifest["read"] == read:
            return str(seen.manifest["state"])  # of the files that the table was made from: these held the same
        return read

    def make() -> Made:
        return _Prices(site, days, read, f"{SEEN_TABLE}/{step.recipe}").whole()

    def make_later(current: Version) -> Made | Version | None:
        before = seen_with(site.store, current)
        return _Prices(site, days, read, f"{SEEN_TABLE}/{step.recipe}").later(current, before) if before else None

    def again(current: Version) -> bool:
        return seen_with(site.store, current) is None  # somebody has removed what the files held: all is read again

    step = Step("prices", [settings, site.config.quality.policies], (), make, make_later, ("year",), state, again)
    return step


def quality_step(site: Site, raw: Version) -> Step:
    """What the prices hold that is suspicious, row by row, and what of the raw prices is left out."""
    seen = seen_with(site.store, raw)
    if seen is None:
        raise RuntimeError(f"table {SEEN_TABLE} lacks the version that the prices name")

    def make() -> Made:
        faulty = site.store.read(seen) if seen.manifest["faults"] else None
        found = quality.findings(site.store.read(raw), faulty)
        return Made(found.coalesce(slots(site.store.spark)), {"policies": site.config.quality.policies})

    return Step("quality", None, (raw,), make, state=lambda current: seen.manifest["faults"])


def seen_with(store: Store, made: Version) -> Version | None:
    """What the files held when they were last found to be what this version of the prices holds."""
    table, number = f"{SEEN_TABLE}/{made.recipe}", made.manifest.get("seen")
    latest = store.latest(table)
    if latest is None or number is None:
        return None
    is_newest = latest.number == number or latest.manifest["same_as"] == made.number
    return latest if is_newest else store.version(table, number)


def source_name(config: Config) -> str:
    """What a user calls the source of the prices."""
    return str(config.prices.path) if config.source == "prices" else "the synthetic universe"


@dataclass(frozen=True)
class _Raw:
    """Raw prices that Spark holds: `held` of all days, `rows` of those that `read` says, by names of one life."""

    held: DataFrame
    rows: TickerRows
    named: Mapping[str, str]  # what the files call a column
    read: sessions.Read
    has_faults: bool


@dataclass(frozen=True)
class _Prices:
    """The table, made by what the files hold now; `read` is the hash of it, `seen_table` where it is noted."""

    site: Site
    days: Days
    read: str
    seen_table: str

    def whole(self) -> Made:
        with self._raw() as raw:
            seen = faults.found_in(raw.rows)
            found = self._judged(seen, raw)
            self._refuse_few_tickers(raw.read)
            written = self._write(seen, found, self.read)
            sound = raw.rows.then(*faults.sound(found, self._policies))
            return self._made(self._bars(sound, raw), written, raw)

    def later(self, current: Version, before: Version) -> Made | Version:
        store = self.site.store
        stored = store.read(current)
        # Some rows a ticker and year. Delta's first reading takes as long as the files'.
        with Collecting(Source(store.read(before)), SEEN) as earlier, self._raw() as raw:
            seen = faults.found_in(raw.rows)
            found = self._judged(seen, raw)
            changes = updates.changed(seen, faults.frame_of(earlier.table()))
            sound = raw.rows.then(*faults.sound(found, self._policies))
            update = updates.compare(sound, stored, changes)
            self.site.progress.note(f"table prices: {update}")
            if update.since is None:
                self._write(seen, found, before.manifest["state"], same_as=current)
                raw.held.unpersist()
                return current
            self._refuse_few_tickers(raw.read)
            written = self._write(seen, found, self.read)
            frames = []
            if update.first:
                anchors = updates.anchors(stored, update.first, seen, found.ends)
                frames = [self._bars(sound, raw, anchors, update.first)]
            if update.first_sector:
                recent = sound.then(updates.Since(changes))
                frames += [updates.relabelled(stored, recent, update.first_sector, update.first)]
            part = Part(update.first or date.max, from_day(update.since).condition, update.first_sector or date.max)
            return self._made(reduce(DataFrame.unionByName, frames), written, raw, part)

    @contextmanager
    def _raw(self) -> Iterator[_Raw]:
        config, spark = self.site.config, self.site.store.spark
        if config.source == "prices":
            found = price_files.read(spark, config.prices, self.site.progress.note)
        else:
            found = synthetic.prices(spark, config.synthetic)
        held = found.by_ticker(*reference.steps(spark, config.prices), marked).then(complete).held()
        try:
            with reading():
                yield self._cut(held, found.named)
        except BaseException:
            # Spark would give what it holds for other files of the same names, too.
            held.frame.unpersist()
            raise

    def _cut(self, held: TickerRows, named: Mapping[str, str]) -> _Raw:
        where, rules = source_name(self.site.config), self.site.config.dates
        counted = sessions.counted(held, self._policies)
        if not counted.rows:
            raise InputError(f"{where} holds no rows; name files with prices in them.")
        if counted.names > MOST_TICKERS:
            raise InputError(too_many(where, f"{counted.names:,}"))
        if not counted.days:
            self._refused(faults.found_in(held), named)
            raise InputError(f"{where} holds no row with a date and a price that quality lets pass; add some.")
        read = sessions.decided(counted.days, rules, where, self.days.live, self.days.holidays)
        for note in read.notes:
            self.site.progress.note(note)
        rows = held.then(sessions.Cut.by(read), lives.Renamed(rules.reused_after))
        return _Raw(held.frame, rows, named, read, counted.faulty + counted.repeats > 0)

    def _bars(
        self, sound: TickerRows, raw: _Raw, anchors: Mapping[str, Anchor] | None = None, first: date = date.min
    ) -> DataFrame:
        made = prices.bars(sound, raw.read.calendars, self._policies, anchors, first)
        # A file for some parts of what is held, each of which is small.
        return made.coalesce(max(slots(self.site.store.spark), sound.partitions // _PARTS))

    def _refuse_few_tickers(self, read: sessions.Read) -> None:
        sessions.refuse_few_tickers(read, source_name(self.site.config), self.site.config.prices.min_tickers)

    def _judged(self, seen: pd.DataFrame, raw: _Raw) -> Faults:
        found = self._refused(seen, raw.named) if raw.has_faults else Faults({}, {}, ())
        if found.rows:
            self.site.progress.note(f"table prices: {found}")
        return found

    def _refused(self, seen: pd.DataFrame, named: Mapping[str, str]) -> Faults:
        where, share = source_name(self.site.config), self.site.config.quality.refuse_share
        return faults.judged(seen, named, self._policies, share, where)

    def _write(self, seen: pd.DataFrame, found: Faults, state: str, same_as: Version | None = None) -> Version:
        same = same_as.number if same_as else None
        manifest = {"read": self.read, "state": state, "faults": dict(found.rows), "same_as": same}
        store = self.site.store
        rows = frame_of(store.spark, pa.Table.from_pandas(seen, SEEN, preserve_index=False), SEEN_SQL)
        return store.write(self.seen_table, rows, fingerprint(self.read, state), manifest=manifest)

    def _made(self, bars: DataFrame, seen: Version, raw: _Raw, part: Part | None = None) -> Made:
        named = {"source": source_name(self.site.config), "seen": seen.number}
        days = {name: calendar.packed for name, calendar in raw.read.calendars.by_country.items()}
        return Made(bars, {**named, "sessions": days}, part, beside=(seen,), held=(raw.held,))

    @property
    def _policies(self) -> dict[str, str]:
        return self.site.config.quality.policies


def _source(config: Config, store: Store, days: Days) -> tuple[object, object]:
    """What the raw prices depend on: settings, and files by path, size and time or the generator's settings."""
    # Other rules move where the prices are cut, and change nothing before.
    lasting = {"session_share", "reused_after"}
    rules = config.dates.model_dump(include=lasting)
    cut = [config.dates.model_dump(exclude={*lasting, "holidays"}), days.named]
    if config.source == "prices":
        chosen = config.prices
        found = price_files.files(store.spark, chosen)
        for path in filter(None, (chosen.universe, chosen.rates, chosen.actions)):
            found += listed(store.spark, path)
        settings = chosen.model_dump(exclude={"path", "universe", "rates", "actions", "note"})
        return [settings, rules], [[(file.path, file.size, file.modified) for file in found], cut]
    return [config.synthetic.model_dump(mode="json"), config.prices.min_tickers, rules], cut
