"""Several countries and currencies, and a universe whose members change: each in its own place."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from tests.spark import oracles

from eraflow.cli import job
from eraflow.config import Config, load
from eraflow.features.daily import daily_features
from eraflow.features.feature import MARKET, Feature, Output, unscaled
from eraflow.features.ranking import Ranking
from eraflow.features.sets import EXPOSURES, columns
from eraflow.features.training import training_table
from eraflow.pipeline.upstream import ingest
from eraflow.sources import prices, reference, sessions

TICKERS = 12  # of each country
CLOSED = {"us": ["2020-04-10"], "jp": [*pd.bdate_range("2020-03-16", "2020-03-20").astype(str), "2020-04-29"]}
LEFT, LEFT_ON, BACK_ON = "us00", "2020-03-31", "2020-05-01"


@dataclass(frozen=True)
class MarketReturn(Feature):
    """The mean return itself, which features only see through betas."""

    family: ClassVar[str] = "technical"
    meaning: ClassVar[str] = "The market's return"  # type: ignore[assignment]

    def outputs(self) -> dict[str, Output]:
        return unscaled(market=MARKET * 1.0)


def raw() -> pd.DataFrame:
    random = np.random.default_rng(81)
    frames = []
    for country, closed in CLOSED.items():
        days = pd.bdate_range("2020-03-02", "2020-06-12").difference(pd.to_datetime(closed))
        for number in range(TICKERS):
            close = 20.0 * np.exp(np.cumsum(random.normal(0.0, 0.02, len(days))))
            frame = pd.DataFrame({"ticker": f"{country}{number:02}", "date": days.strftime("%Y-%m-%d"), "close": close})
            frames.append(frame.assign(volume=1000.0 + number, country=country))
    whole = pd.concat(frames, ignore_index=True)
    whole = whole.assign(**dict.fromkeys(("open", "high", "low", "adjusted_close"), whole["close"]), sector="one")
    return whole.assign(currency=whole["country"].map({"us": "USD", "jp": "JPY"}))


def rates() -> pd.DataFrame:
    """A yen is worth another part of a dollar each week; nothing is said about weekends and other days."""
    weeks = pd.date_range("2020-03-02", "2020-06-12", freq="W-MON").strftime("%Y-%m-%d")
    yen = pd.DataFrame({"currency": "JPY", "date": weeks, "rate": 0.009 + 0.0001 * np.arange(len(weeks))})
    return pd.concat([yen, yen.assign(currency="USD", rate=1.0)])


def members() -> pd.DataFrame:
    names = raw()["ticker"].unique()
    always = pd.DataFrame({"ticker": names[names != LEFT], "from": "", "to": ""})
    once = pd.DataFrame({"ticker": LEFT, "from": ["", BACK_ON], "to": [LEFT_ON, ""]})
    return pd.concat([always, once])


def configured(folder: Path) -> Config:
    mapped = ["country=country", "currency=currency"]
    files = [f"prices.{name}={folder}/{name}.csv" for name in ("path", "universe", "rates")]
    return load(["signals.yml"], ["prices.min_tickers=12", *(f"prices.columns.{text}" for text in mapped), *files])


def write(folder: Path, **changed: pd.DataFrame) -> None:
    for name, frame in ({"path": raw(), "universe": members(), "rates": rates()} | changed).items():
        frame.to_csv(folder / f"{name}.csv", index=False)


@dataclass(frozen=True)
class Built:
    bars: pd.DataFrame
    daily: pd.DataFrame
    by_kernels: pd.DataFrame
    training: pd.DataFrame


@pytest.fixture(scope="module")
def built(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("countries")
    write(folder)
    config = configured(folder)
    read = oracles.held(oracles.rows_of(spark, config.prices))
    days = sessions.decided(sessions.counted(read, config.quality.policies).days, config.dates, "prices").calendars
    bars = prices.bars(read, days, config.quality.policies).cache()
    daily = daily_features(bars, [MarketReturn()]).cache()
    training = training_table(
        daily, bars.withColumn("masked", F.lit(False)), days.era_days, days.sessions,
        Ranking([MarketReturn()]), [20], 2, ["size"], era_block=100,
    )  # fmt: skip
    size = list(columns(EXPOSURES)).index("size")
    values, others = (
        each.select(
            *("ticker", "date", "country"), F.get("technical", F.lit(0)).alias("market"),
            F.get("exposures", F.lit(size)).alias("size"),
        )
        for each in (daily, daily_features(bars, [MarketReturn()], "kernels"))
    )  # fmt: skip
    sorted_ = (frame.toPandas().sort_values(["ticker", "date"], ignore_index=True) for frame in (bars, values, others))
    return Built(*sorted_, training.toPandas())


def test_each_country_has_its_own_sessions(built: Built) -> None:
    for country, closed in CLOSED.items():
        days = pd.bdate_range("2020-03-02", "2020-06-12").difference(pd.to_datetime(closed))
        one = built.bars[built.bars["ticker"] == f"{country}01"]
        assert one["session"].tolist() == list(range(len(days)))
        assert one["date"].astype(str).tolist() == days.strftime("%Y-%m-%d").tolist()


def test_the_market_is_the_mean_of_the_countrys_members(built: Built) -> None:
    found = raw()
    found["return"] = found.groupby("ticker")["close"].pct_change()
    away = (found["ticker"] == LEFT) & (found["date"] > LEFT_ON) & (found["date"] < BACK_ON)
    wanted = found[~away].groupby(["country", "date"])["return"].mean()

    key = pd.MultiIndex.from_arrays([built.daily["country"], built.daily["date"].astype(str)])
    np.testing.assert_allclose(built.daily["market"], wanted.reindex(key), atol=1e-11)


def test_kernels_equal_windows(built: Built) -> None:
    pd.testing.assert_frame_equal(built.by_kernels, built.daily, rtol=1e-12)


def test_volumes_are_compared_in_one_currency(built: Built) -> None:
    found = raw().sort_values(["ticker", "date"], ignore_index=True)
    monday = pd.to_datetime(found["date"]).dt.to_period("W").dt.start_time.dt.strftime("%Y-%m-%d")
    worth = rates().set_index(["currency", "date"])["rate"]
    found["value"] = found["close"] * found["volume"] * worth.loc[zip(found["currency"], monday, strict=True)].values
    mean = found.groupby("ticker")["value"].rolling(21).mean().reset_index(drop=True)

    np.testing.assert_allclose(built.daily["size"], np.log1p(mean))


def test_only_members_are_ranked_and_weeks_are_common(built: Built) -> None:
    rows = built.training["id"].str.split("_", expand=True).set_axis(["ticker", "date"], axis=1)
    rows["era"] = built.training["era"]

    left = rows.loc[rows["ticker"] == LEFT, "date"]
    assert not left.between("2020-04-01", "2020-04-30").any()
    assert {"2020-03-27", "2020-05-01"} <= set(left)
    of_era = rows.groupby("era")["date"].unique().map(set)
    assert of_era[6] == {"2020-04-09", "2020-04-10"}  # Good Friday in one country only
    assert not rows.loc[rows["era"] == 3, "ticker"].str.startswith("jp").any()


@pytest.fixture
def refused(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def message(*settings: str, **changed: pd.DataFrame) -> str:
        write(tmp_path, **changed)
        files = [f"prices.{name}={tmp_path}/{name}.csv" for name in ("path", "universe", "rates")]
        mapped = [
            "prices.columns.country=country",
            "prices.columns.currency=currency",
            f"tables.root={tmp_path}/tables",
        ]
        every = [part for text in [*files, *mapped, *settings] for part in ("--set", text)]
        assert job("", ingest, ["--config", "signals.yml", *every]) == 2
        printed = capsys.readouterr().err
        assert printed.count("\n") == 1
        assert not list((tmp_path / "tables").glob("*/_delta_log"))
        return printed.removeprefix("eraflow: ").strip().replace(f"{tmp_path}/", "")

    return message


def test_a_currency_without_a_rate_is_refused(refused: Callable[..., str]) -> None:
    assert refused(rates=rates().query("currency == 'JPY'")) == (
        "path.csv: column 'currency' holds 'USD', for which prices.rates has no rate, for us00 on 2020-03-02, and "
        f"{(raw()['currency'] == 'USD').sum() - 1} more rows have faults; mend or remove the row."
    )
    assert refused(rates=pd.concat([rates(), rates().iloc[:1]])).startswith(
        "rates.csv: the rate of JPY on 2020-03-02 is there twice"
    )
    assert refused(rates=rates().drop(columns="rate")).startswith("prices.rates: rates.csv has no column 'rate'")


def test_a_universe_that_contradicts_itself_is_refused(refused: Callable[..., str]) -> None:
    twice = pd.concat([members(), pd.DataFrame({"ticker": [LEFT], "from": ["2020-03-15"], "to": [""]})])
    assert refused(universe=twice).startswith(f"universe.csv: the range of {LEFT} from 2020-03-15 overlaps")
    assert refused(universe=members().assign(to="soon")).startswith(
        "universe.csv: column 'to' holds 'soon', which is no date (YYYY-MM-DD)"
    )
    assert refused("prices.universe=nowhere.csv").startswith("prices.universe: nowhere.csv cannot be read")


def test_a_huge_file_in_the_place_of_a_small_one_is_refused(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "SMALL", len(members()))
    assert refused(universe=pd.concat([members(), members().head(1)])).startswith(
        f"prices.universe: universe.csv holds more than {len(members())} rows"
    )


def test_too_few_tickers_over_all_countries_are_refused(refused: Callable[..., str]) -> None:
    assert refused("prices.min_tickers=20").startswith("path.csv: on 2020-03-20 (era 3) only 12 tickers have a price")


def test_small_tables_are_csv_as_pandas_writes_it(spark: SparkSession, tmp_path: Path) -> None:
    names = ["plain", 'with "quotes"', "with\na line", "a, comma", "back\\slash", "NA"]
    table = pd.DataFrame({"ticker": names, "note": [f"of {name}" for name in names]})
    table.to_csv(tmp_path / "table.csv", index=False, encoding="utf-8-sig")

    found = reference.small_table(spark, f"{tmp_path}/table.csv", "prices.universe", ("ticker", "note"))

    assert found.to_dict("list") == table.to_dict("list")
