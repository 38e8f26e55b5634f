"""Price files that are brought up to date week by week: the table is the one that they would make at once.

Every ticker has a kind of feed: its vendor restates, drops, repeats or mends rows in its own way. What changes early
days comes in the second week, so that the third goes on from the middle of every history.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from tests.spark import oracles, price_oracle
from tests.spark.test_incremental import Notes

from eraflow.config import load
from eraflow.pipeline import signals_steps
from eraflow.pipeline.site import Site
from eraflow.sources import updates
from eraflow.tables import Store, Version

pytestmark = pytest.mark.slow

DAYS = list(pd.bdate_range("2019-11-04", periods=75).date)  # two years, so that only a part of a history is compared
WEEKS = (60, 67, 75)  # days that the files hold when they are read
PRICES = ["open", "high", "low", "close"]
POLICIES = ("zero_volume=drop", "jump=drop", "contradiction=drop", "stale=mask")
SETTINGS = (*(f"quality.{policy}" for policy in POLICIES), "quality.refuse_share=0.5", "prices.min_tickers=3",
            "dates.complete_share=0.7")  # fmt: skip


# What only another unit or rounding is: the table keeps what it has.
RESTATED = ("dividend2", "dividend4", "split", "adjusted", "shares")


def rounded(frame: pd.DataFrame, decimals: int) -> pd.DataFrame:
    return frame.assign(**{name: frame[name].round(decimals) for name in [*PRICES, "adjusted_close"]})


def feed(kind: str, seed: int, week: int) -> pd.DataFrame:
    """What the file of one ticker holds in a week."""
    wrong = 0.0 if kind in RESTATED else 0.03
    whole = price_oracle.history(f"{kind}{seed}", DAYS, 1000 * len(kind) + seed, wrong)
    whole = whole.drop(columns=["country", "member", "rate"])
    days = DAYS[: WEEKS[week]]
    frame = whole[whole["date"] <= days[-1]].reset_index(drop=True)
    match kind:
        case "plain":
            return frame
        case "dividend2" | "dividend4":  # all earlier adjusted closes are less each week, and rounded
            for paid in range(1, week + 1):
                frame.loc[frame["date"] < DAYS[WEEKS[paid] - 3], "adjusted_close"] *= 0.987
            return rounded(frame, int(kind[-1]))
        case "split":  # three for one in week 2: closes of all days are less, volumes more
            if week >= 2:
                frame[[*PRICES, "adjusted_close"]] /= 3.0
                frame["volume"] *= 3.0
            return rounded(frame, 4)
        case "adjusted":  # a dividend in week 2 makes all earlier prices less, not volumes
            for name in [*PRICES, "adjusted_close"] if week >= 2 else []:
                frame[name] = frame[name].where(frame["date"] >= DAYS[WEEKS[1] + 2], frame[name] * 0.987)
            return rounded(frame, 4)
        case "shares":  # volumes alone are adjusted for a split in week 2
            frame["volume"] *= 3.0 if week >= 2 else 1.0
            return rounded(frame, 4)
        case "sector":
            return frame.assign(sector="other" if week >= 1 else "one")
        case "label":
            return frame.assign(sector="other" if week >= 2 else "one")
        case "return":  # one earlier return is another one
            frame.loc[frame["date"] >= DAYS[30 + seed], "adjusted_close"] *= 1.03 if week >= 1 else 1.0
            return frame
        case "close":
            frame.loc[frame["date"] == DAYS[20 + seed], "close"] += 0.01 if week >= 1 else 0.0
            return frame
        case "gone":
            return frame[(frame["date"] != DAYS[40]) | (week < 1)]
        case "late":  # the newest days come a week later
            return frame[frame["date"] <= DAYS[WEEKS[max(week - 1, 0)] - 2]]
        case "empty":
            frame.loc[frame.index % 7 == 0, [*PRICES, "adjusted_close", "volume"]] = np.nan
            return frame
        case "undated":  # lines of commas at the end of a file
            nothing = dict.fromkeys(["date", *PRICES, "adjusted_close", "volume"])
            return pd.concat([frame, *[frame.iloc[:1].assign(**nothing)] * week])
        case "twice":
            return pd.concat([frame, frame.iloc[::9]])
        case "contradicting":  # a day of the second week, mended in the third
            other = frame[frame["date"] >= DAYS[62]].iloc[:1].assign(close=1.0)
            return pd.concat([frame, other]) if week == 1 else frame
        case "faulty":  # an early day is 0 until it is mended
            frame.loc[frame.index == 3, "close"] = 0.0 if week < 1 else frame["close"][3]
            return frame
        case "ended":  # by rows of zeros, as some vendors go on after a delisting
            frame.loc[frame["date"] >= DAYS[62], [*PRICES, "adjusted_close", "volume"]] = 0.0
            return frame
        case "listed":
            return frame[frame["date"] >= DAYS[63]]
    raise ValueError(f"{kind} is no feed")


FEEDS = (
    "plain", "dividend2", "dividend4", "split", "adjusted", "shares", "sector", "label", "return", "close", "gone",
    "late", "empty", "undated", "twice", "contradicting", "faulty", "ended", "listed",
)  # fmt: skip


def files(week: int, feeds: tuple[str, ...] = FEEDS) -> pd.DataFrame:
    return pd.concat([feed(kind, seed, week) for kind in feeds for seed in range(3)], ignore_index=True)


@dataclass
class Job:
    """The table `prices` of a folder with one file."""

    spark: SparkSession
    folder: Path

    def __post_init__(self) -> None:
        self.notes = Notes()
        self.store = Store(self.spark, f"{self.folder}/tables")

    def run(self, frame: pd.DataFrame | None) -> Version:
        """Brings the table up to date with other files, or with those that are there."""
        if frame is not None:
            frame.sample(frac=1.0, random_state=len(frame)).to_parquet(self.folder / "prices.parquet", index=False)
        where = [f"prices.path={self.folder}/prices.parquet", f"tables.root={self.folder}/tables"]
        self.notes.lines.clear()
        return signals_steps.prices(Site(self.store, load(["signals.yml"], [*where, *SETTINGS]), self.notes))["prices"]

    def table(self, version: Version) -> pd.DataFrame:
        rows = self.store.read(version).toPandas().sort_values(["ticker", "date"], ignore_index=True)
        return rows.assign(flags=rows["flags"].map(list))

    def said(self, text: str) -> bool:
        return any(text in line for line in self.notes.lines)


@pytest.fixture(scope="module")
def job(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Job:
    return Job(spark, tmp_path_factory.mktemp("weekly"))


@pytest.fixture(scope="module")
def weekly(job: Job) -> pd.DataFrame:
    """The table that is brought up to date each week, after the last one."""
    return job.table([job.run(files(week)) for week in range(len(WEEKS))][-1])


@pytest.fixture(scope="module")
def at_once(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The table that the last week's files make at once."""
    job = Job(spark, tmp_path_factory.mktemp("at_once"))
    return job.table(job.run(files(len(WEEKS) - 1)))


def of(kind: str, table: pd.DataFrame) -> pd.DataFrame:
    return table[table["ticker"].str.match(f"{kind}[0-9]$")].reset_index(drop=True)


@pytest.mark.parametrize("kind", [kind for kind in FEEDS if kind not in RESTATED])
def test_week_by_week_is_the_table_made_at_once(kind: str, weekly: pd.DataFrame, at_once: pd.DataFrame) -> None:
    found, wanted = of(kind, weekly), of(kind, at_once)

    assert len(wanted) > 10
    pd.testing.assert_frame_equal(found, wanted, rtol=1e-12)


@pytest.mark.parametrize("kind", RESTATED)
def test_what_is_restated_without_a_change_is_the_same_but_for_its_unit_and_rounding(
    kind: str, weekly: pd.DataFrame, at_once: pd.DataFrame
) -> None:
    found, wanted = of(kind, weekly), of(kind, at_once)
    same = ["ticker", "date", "session", "bar", "flags", "sector"]

    pd.testing.assert_frame_equal(found[same], wanted[same])
    rounding = 1.5e-3 if kind == "dividend2" else 2e-4
    np.testing.assert_allclose(found["daily_return"], wanted["daily_return"], atol=2 * rounding)
    if kind not in ("adjusted", "shares"):  # where prices or volumes alone are adjusted, so is what was traded
        np.testing.assert_allclose(found["close"] * found["volume"], wanted["close"] * wanted["volume"], rtol=rounding)
    unit = (found["close"] / wanted["close"]).groupby(found["ticker"])
    assert (unit.max() / unit.min()).max() < 1.0 + rounding


@pytest.mark.usefixtures("weekly")
def test_what_is_restated_or_downloaded_again_is_seen_once(job: Job) -> None:
    last = job.run(None)
    paid = files(len(WEEKS) - 1)
    for kind in RESTATED:
        its = paid["ticker"].str.startswith(kind)
        paid.loc[its, "adjusted_close"] = (paid.loc[its, "adjusted_close"] * 0.99).round(2 if kind[-1] == "2" else 4)

    assert job.run(paid) == last
    assert job.said("table prices: 0 new rows")
    assert job.run(None) == last
    assert job.said(f"table prices: version {last.number} is fresh")
    os.utime(job.folder / "prices.parquet", (1, 1))
    assert job.run(None) == last
    assert job.said("table prices: 0 new rows")
    assert job.run(None) == last
    assert job.said(f"table prices: version {last.number} is fresh")


def test_a_return_is_another_one_where_rounding_does_not_explain_it(spark: SparkSession) -> None:
    """Stocks at about one dollar, all of whose adjusted closes are restated for a dividend as well."""
    cases = {"A": (4, 0.001), "B": (4, 0.0001), "C": (2, 0.06), "D": (2, 0.005)}  # decimals, and how far one day moved
    walk = price_oracle.history("", DAYS, 1, 0.0)
    before, after = [], []
    for ticker, (decimals, moved) in cases.items():
        adjusted = walk["adjusted_close"] / 10.0
        factor = 0.99 * np.where(walk["date"] >= DAYS[30], 1.0 + moved, 1.0)
        before.append(walk.assign(ticker=ticker, adjusted_close=adjusted.round(decimals)))
        after.append(walk.assign(ticker=ticker, adjusted_close=(adjusted * factor).round(decimals)))
    names = [part.split()[0] for part in oracles.RAW.split(", ")]
    raw = spark.createDataFrame(pd.concat(after)[names], oracles.RAW)

    found = updates.compare(oracles.held(raw), oracles.bars_of(spark, pd.concat(before)), dict.fromkeys(cases, 2019))

    moved_on = min(walk.loc[walk["date"] >= DAYS[30], "date"])
    assert (found.first, found.new_rows, found.restated) == (moved_on, 0, 2)
    assert found.examples == (f"A from {moved_on}", f"C from {moved_on}")


def test_an_anchor_is_the_last_bar_before_however_old_it_is(spark: SparkSession) -> None:
    days = {"A": [date(2018, 6, 1), date(2019, 6, 3)], "B": [date(2015, 6, 1), date(2016, 6, 1)]}
    days["aside"] = days["B"]
    rows = pd.DataFrame([(ticker, day) for ticker, its in days.items() for day in its], columns=["ticker", "date"])
    close = rows.groupby("ticker").cumcount() + 10.0
    rows = rows.assign(**dict.fromkeys([*PRICES, "adjusted_close"], close), volume=100.0, sector="one")
    years = [(ticker, year) for ticker, its in days.items() for year in (*(day.year for day in its), 2020)]

    found = updates.anchors(
        oracles.bars_of(spark, rows), date(2020, 2, 3), pd.DataFrame(years, columns=["ticker", "year"]),
        {"aside": date(2020, 1, 2)},
    )  # fmt: skip

    assert {ticker: (anchor.day, anchor.bar, anchor.close) for ticker, anchor in found.items()} == {
        "A": (date(2019, 6, 3), 1, 11.0),
        "B": (date(2016, 6, 1), 1, 11.0),
    }
