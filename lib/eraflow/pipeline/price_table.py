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
from eraflow.sources import faults, lives, price_files, prices, quality, reference, sessions, synthetic, updates
from eraflow.sources.faults import Faults
from eraflow.sources.files import listed, reading
from eraflow.tables import Part, Store, Version, from_day

SEEN = "prices_seen"


def prices_step(site: Site, days: Days) -> Step:
    """Checked daily prices. InputError, with nothing written, where the source has faults."""
    settings, files = _source(site.config, site.store, days)
    read = fingerprint(settings, site.config.quality.policies, files)

    def state(there: Version | None) -> str:
        seen = seen_with(site.store, there) if there else None
        if seen and seen.manifest["read"] == read:
            return str(seen.manifest["state"])  # of the files that the table was made from: these held the same
        return read

    def make() -> Made:
        return _Prices(site, days, read, f"{SEEN}/{step.recipe}").whole()

    def make_later(there: Version) -> Made | Version | None:
        before = seen_with(site.store, there)
        return _Prices(site, days, read, f"{SEEN}/{step.recipe}").later(there, before) if before else None

    def again(there: Version) -> bool:
        return seen_with(site.store, there) is None  # somebody has removed what the files held: all is read again

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

    return Step("quality", None, (raw,), make, state=lambda there: seen.manifest["faults"])


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
class _Prices:
    """The table, made by what the files hold now; `read` is the hash of it, `seen_table` where it is noted."""

    site: Site
    days: Days
    read: str
    seen_table: str

    def whole(self) -> Made:
        source, raw, days = self._raw()
        with _let_go_of(source), reading(), _cached(faults.seen(raw).unionByName(faults.repeats(raw))) as seen:
            found = self._judged(seen, raw)
            sound = faults.sound(raw, found, self._policies)
            sessions.refuse_few_tickers(days, source_name(self.site.config), self.site.config.prices.min_tickers)
            written = self._write(seen, found, self.read)
        return self._made(prices.bars(sound, days.calendars, self._policies), written, source)

    def later(self, there: Version, before: Version) -> Made | Version:
        store, policies = self.site.store, self._policies
        source, raw, days = self._raw()
        stored, earlier = store.read(there), store.read(before)
        with (
            _let_go_of(source),
            reading(),
            _cached(faults.seen(raw)) as rows,
            _cached(updates.changed(rows, earlier)) as changes,
        ):
            some = updates.within(raw, changes)
            others = updates.repeats_outside(earlier, changes)
            with _cached(rows.unionByName(faults.repeats(some)).unionByName(others)) as seen:
                found = self._judged(seen, raw)
                sound = faults.sound(raw, found, policies)
                old = updates.within(stored, changes)
                recent = faults.sound(some, found, policies)
                update = updates.compare(recent, old)
                self.site.progress.note(f"table prices: {update}")
                if update.since is None:
                    self._write(seen, found, before.manifest["state"], same_as=there)
                    source.unpersist()
                    return there
                sessions.refuse_few_tickers(days, source_name(self.site.config), self.site.config.prices.min_tickers)
                written = self._write(seen, found, self.read)
            frames = []
            if update.first:
                anchors = updates.anchors(stored, update.first)
                frames = [prices.bars(sound, days.calendars, policies, anchors, update.first)]
            if update.first_sector:
                frames += [updates.relabelled(stored, recent, update.first_sector, update.first)]
            part = Part(update.first or date.max, from_day(update.since).condition, update.first_sector or date.max)
            return self._made(reduce(DataFrame.unionByName, frames), written, source, part)

    def _raw(self) -> tuple[DataFrame, DataFrame, sessions.Read]:
        """The source as it is kept on disks, the raw prices up to the data date, and what is read of them.

        Sessions, names, faults and the table itself each take a pass, and files are parsed once.
        """
        config, spark = self.site.config, self.site.store.spark
        if config.source == "prices":
            raw = price_files.read(spark, config.prices, self.site.progress.note)
        else:
            raw = synthetic.prices(spark, config.synthetic)
        source = raw = raw.persist(StorageLevel.DISK_ONLY)
        where, rules = source_name(config), config.dates
        with _let_go_of(source), reading():
            counts, rows = sessions.counted(raw)
            if not rows:
                raise InputError(f"{where} holds no rows; name files with prices in them.")
            if not counts:  # no row has a date and a price
                raw = reference.enriched(raw, config.prices)
                faults.judged(faults.seen(raw), raw, self._policies, config.quality.refuse_share, where)
            read = sessions.decided(counts, rules, where, self.days.live, self.days.holidays)
            for note in read.notes:
                self.site.progress.note(note)
            enriched = reference.enriched(sessions.cut(raw, read), config.prices)
            return source, lives.renamed(enriched, rules.reused_after), read

    def _judged(self, seen: DataFrame, raw: DataFrame) -> Faults:
        where, share = source_name(self.site.config), self.site.config.quality.refuse_share
        found = faults.judged(seen, raw, self._policies, share, where)
        if found.rows:
            self.site.progress.note(f"table prices: {found}")
        return found

    def _write(self, seen: DataFrame, found: Faults, state: str, same_as: Version | None = None) -> Version:
        same = same_as.number if same_as else None
        manifest = {"read": self.read, "state": state, "faults": dict(found.rows), "same_as": same}
        return self.site.store.write(
            self.seen_table, seen.coalesce(1), fingerprint(self.read, state), manifest=manifest
        )

    def _made(self, bars: DataFrame, seen: Version, source: DataFrame, part: Part | None = None) -> Made:
        manifest = {"source": source_name(self.site.config), "seen": seen.number}
        return Made(bars, manifest, part, beside=(seen,), held=(source,))

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
