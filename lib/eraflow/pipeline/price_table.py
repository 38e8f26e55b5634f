"""The steps `prices` and `quality`: the raw prices that are sound, and what is left out of them or suspicious.

Beside the prices stands the table `prices_seen` (`faults.SEEN`): what the files held when they were last read. It is
written before the prices that come of it, whose manifest names its version; where files have changed and no price has,
it is written alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import reduce

from pyspark import StorageLevel
from pyspark.sql import DataFrame

from eraflow.config import Config, fingerprint
from eraflow.errors import InputError
from eraflow.pipeline.site import Days, Site
from eraflow.pipeline.steps import Made, Step
from eraflow.session import slots
from eraflow.sources import faults, lives, price_files, prices, quality, reference, sessions, synthetic, updates
from eraflow.sources.faults import Faults
from eraflow.sources.files import listed, reading
from eraflow.tables import Part, Store, Version, from_day

SEEN = "prices_seen"


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
        return _Prices(site, days, read, f"{SEEN}/{step.recipe}").whole()

    def make_later(current: Version) -> Made | Version | None:
        before = seen_with(site.store, current)
        return _Prices(site, days, read, f"{SEEN}/{step.recipe}").later(current, before) if before else None

    def again(current: Version) -> bool:
        return seen_with(site.store, current) is None  # somebody has removed what the files held: all is read again

    step = Step("prices", [settings, site.config.quality.policies], (), make, make_later, ("year",), state, again)
    return step


def quality_step(site: Site, raw: Version) -> Step:
    """What the prices hold that is suspicious, row by row, and what of the raw prices is left out."""
    seen = seen_with(site.store, raw)
    if seen is None:
        raise RuntimeError(f"table {SEEN} lacks the version that the prices name")

    def make() -> Made:
        found = quality.findings(site.store.read(raw), site.store.read(seen))
        return Made(found.coalesce(1), {"policies": site.config.quality.policies})

    return Step("quality", None, (raw,), make, state=lambda current: seen.manifest["faults"])


def seen_with(store: Store, made: Version) -> Version | None:
    """What the files held when they were last found to be what this version of the prices holds."""
    table, number = f"{SEEN}/{made.recipe}", made.manifest.get("seen")
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
    """Raw prices as they are held on disks: `source` of all days, `rows` of those that `read` says.

    Files are parsed once. The rows of a ticker lie together in the order of their dates, so that no later pass over
    them moves or sorts any.
    """

    source: DataFrame
    rows: DataFrame
    read: sessions.Read
    counted: sessions.Counted

    @property
    def seen_rows(self) -> DataFrame:
        """What they hold row by row, of the shape `faults.SEEN`."""
        return faults.seen(self.rows, self.counted.faulty > 0)

    @property
    def seen(self) -> DataFrame:
        """What they hold, of the shape `faults.SEEN`."""
        return self.seen_rows.unionByName(faults.repeats(self.rows)) if self.counted.repeats else self.seen_rows

    @property
    def has_faults(self) -> bool:
        return self.counted.faulty + self.counted.repeats > 0


@dataclass(frozen=True)
class _Prices:
    """The table, made by what the files hold now; `read` is the hash of it, `seen_table` where it is noted."""

    site: Site
    days: Days
    read: str
    seen_table: str

    def whole(self) -> Made:
        raw = self._raw()
        with _let_go_of(raw.source), reading(), _cached(raw.seen) as seen:
            found = self._judged(seen, raw)
            sound = faults.sound(raw.rows, found, self._policies)
            self._refuse_few_tickers(raw.read)
            written = self._write(seen, found, self.read)
        return self._made(prices.bars(sound, raw.read.calendars, self._policies), written, raw)

    def later(self, current: Version, before: Version) -> Made | Version:
        store, policies = self.site.store, self._policies
        raw = self._raw()
        stored, earlier, calendars = store.read(current), store.read(before), raw.read.calendars
        with (
            _let_go_of(raw.source),
            reading(),
            _cached(raw.seen_rows) as rows,
            _cached(updates.changed(rows, earlier)) as changes,
        ):
            some = updates.within(raw.rows, changes)
            others = updates.repeats_outside(earlier, changes)
            parts = [rows, others, *([faults.repeats(some)] if raw.counted.repeats else [])]
            with _cached(reduce(DataFrame.unionByName, parts)) as seen:
                found = self._judged(seen, raw)
                sound = faults.sound(raw.rows, found, policies)
                old = updates.within(stored, changes)
                recent = faults.sound(some, found, policies)
                update = updates.compare(recent, old)
                self.site.progress.note(f"table prices: {update}")
                if update.since is None:
                    self._write(seen, found, before.manifest["state"], same_as=current)
                    raw.source.unpersist()
                    return current
                self._refuse_few_tickers(raw.read)
                written = self._write(seen, found, self.read)
            frames = []
            if update.first:
                anchors = updates.anchors(stored, update.first)
                frames = [prices.bars(sound, calendars, policies, anchors, update.first)]
            if update.first_sector:
                frames += [updates.relabelled(stored, recent, update.first_sector, update.first)]
            part = Part(update.first or date.max, from_day(update.since).condition, update.first_sector or date.max)
            return self._made(reduce(DataFrame.unionByName, frames), written, raw, part)

    def _raw(self) -> _Raw:
        config, spark = self.site.config, self.site.store.spark
        if config.source == "prices":
            raw = price_files.read(spark, config.prices, self.site.progress.note)
            parts = price_files.partitions(spark, price_files.files(spark, config.prices))
        else:
            raw, parts = synthetic.prices(spark, config.synthetic), slots(spark)
        raw = faults.marked(reference.enriched(raw, config.prices))
        raw = raw.repartition(parts, "ticker").sortWithinPartitions("ticker", "date").persist(StorageLevel.DISK_ONLY)
        with _let_go_of(raw), reading():
            return self._cut(raw)

    def _cut(self, source: DataFrame) -> _Raw:
        where, rules = source_name(self.site.config), self.site.config.dates
        counted = sessions.counted(source, self._policies, rules.reused_after)
        if not counted.rows:
            raise InputError(f"{where} holds no rows; name files with prices in them.")
        if not counted.days:
            self._refused(faults.seen(source), source)
            raise InputError(f"{where} holds no row with a date and a price that quality lets pass; add some.")
        read = sessions.decided(counted.days, rules, where, self.days.live, self.days.holidays)
        for note in read.notes:
            self.site.progress.note(note)
        rows = sessions.cut(source, read)
        return _Raw(source, lives.renamed(rows, rules.reused_after) if counted.gaps else rows, read, counted)

    def _refuse_few_tickers(self, read: sessions.Read) -> None:
        sessions.refuse_few_tickers(read, source_name(self.site.config), self.site.config.prices.min_tickers)

    def _judged(self, seen: DataFrame, raw: _Raw) -> Faults:
        found = self._refused(seen, raw.rows) if raw.has_faults else Faults({}, {}, ())
        if found.rows:
            self.site.progress.note(f"table prices: {found}")
        return found

    def _refused(self, seen: DataFrame, raw: DataFrame) -> Faults:
        where, share = source_name(self.site.config), self.site.config.quality.refuse_share
        return faults.judged(seen, raw, self._policies, share, where)

    def _write(self, seen: DataFrame, found: Faults, state: str, same_as: Version | None = None) -> Version:
        same = same_as.number if same_as else None
        manifest = {"read": self.read, "state": state, "faults": dict(found.rows), "same_as": same}
        return self.site.store.write(
            self.seen_table, seen.repartition(1), fingerprint(self.read, state), manifest=manifest
        )

    def _made(self, bars: DataFrame, seen: Version, raw: _Raw, part: Part | None = None) -> Made:
        named = {"source": source_name(self.site.config), "seen": seen.number}
        days = {name: calendar.packed for name, calendar in raw.read.calendars.by_country.items()}
        return Made(bars, {**named, "sessions": days}, part, beside=(seen,), held=(raw.source,))

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


@contextmanager
def _let_go_of(source: DataFrame) -> Iterator[None]:
    """Where the source is refused: Spark would give what it holds for other files of the same names, too."""
    try:
        yield
    except BaseException:
        source.unpersist()
        raise


@contextmanager
def _cached(frame: DataFrame) -> Iterator[DataFrame]:
    """A frame that is read several times; it has some rows a ticker and year."""
    frame = frame.cache()
    try:
        yield frame
    finally:
        frame.unpersist()
