"""Kernels equal pandas, numpy and TA-Lib; they go on from stored states to the last bit; nothing crosses tickers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import talib
from tests.kernels import Array, by_kernels, computed, rows_of

from eraflow.features import cross_section, sets
from eraflow.features.feature import CLOSE, HIGH
from eraflow.features.kernels import sums
from eraflow.features.kernels.compiled import kernel
from eraflow.features.kernels.machine import Rows, keeps_state
from eraflow.features.kernels.program import program
from eraflow.features.kernels.tables import Table, of_tickers
from eraflow.features.series import (
    BAR,
    SPACING,
    Exponential,
    FadingSum,
    Rolling,
    RunningSum,
    Series,
    ema,
    log,
    observed,
    or_zero,
    rolling_moments,
    where,
    wilder,
)

WINDOW = 7
INPUTS = ["open", "high", "low", "close", "raw_close", "volume", "adjusted_volume", "market_return", "sector_return"]


def bars(ticker: str, close: Array, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"ticker": ticker, "date": pd.date_range("2000-01-03", periods=len(close)), "close": close})
    spread = np.abs(random.normal(0.0, 0.01, (2, len(close))))
    frame["open"], frame["raw_close"] = close, close * 1.5
    frame["high"], frame["low"] = close * np.exp(spread[0]), close * np.exp(-spread[1])
    frame["volume"] = np.round(random.lognormal(12.0, 1.0, len(close)))
    frame["adjusted_volume"] = frame["volume"] * 1.1
    market, sector = random.normal(0.0, 0.01, (2, len(close)))
    return frame.assign(bar=np.arange(len(close)), market_return=market, sector_return=sector)


def walk(count: int, seed: int) -> Array:
    return 50.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0, 0.02, count)))


@pytest.fixture(scope="module")
def tickers() -> pd.DataFrame:
    jumps = walk(120, 1)
    jumps[40:] *= 1e4
    jumps[80:] /= 1e4
    gaps = walk(90, 2)
    gaps[[20, 21, 50]] = np.nan
    ties = np.round(walk(80, 3) / 4.0)
    found = {
        "walk": walk(300, 4),
        "jumps": jumps,
        "gaps": gaps,
        "ties": ties,
        "flat": np.full(60, 0.1),
        "short": walk(3, 5),
    }
    return pd.concat([bars(name, close) for name, close in found.items()], ignore_index=True)


def each_window(statistic: Callable[[Array], float]) -> Callable[[pd.Series], pd.Series]:
    return lambda x: x.rolling(WINDOW).apply(statistic, raw=True)


def place_of_max(window: Array) -> float:
    return float(np.argmax(window)) + 1.0


def held(x: pd.Series, values: pd.Series) -> pd.Series:
    """The values where x is known."""
    return values.where(x.notna())


def smoothed(x: pd.Series, alpha: float, first: int, seed: int) -> pd.Series:
    found, last = np.full(len(x), np.nan), first + seed - 1
    if len(x) > last:
        found[last] = x[first : last + 1].mean()
        for bar in range(last + 1, len(x)):
            found[bar] = found[bar - 1] + alpha * (x[bar] - found[bar - 1])
    return pd.Series(found)


CASES: dict[str, tuple[Series, Callable[[pd.Series], pd.Series]]] = {
    "lag": (CLOSE.lag(3), lambda x: x.shift(3)),
    "mean": (Rolling(CLOSE, WINDOW, "mean"), each_window(np.mean)),
    "variance": (Rolling(CLOSE, WINDOW, "variance"), each_window(np.var)),
    "sample variance": (rolling_moments(CLOSE, WINDOW).variance, each_window(lambda w: np.var(w, ddof=1))),
    "covariance with time": (
        Rolling(CLOSE, WINDOW, "covariance", BAR),
        each_window(lambda w: float(np.mean((w - w.mean()) * np.arange(WINDOW)))),
    ),
    "skewness": (Rolling(CLOSE / CLOSE.lag(1), WINDOW, "skewness"), lambda x: skewness(x / x.shift(1))),
    "min": (Rolling(CLOSE, WINDOW, "min"), each_window(np.min)),
    "max": (Rolling(CLOSE, WINDOW, "max"), each_window(np.max)),
    "rank": (Rolling(CLOSE, WINDOW, "rank"), lambda x: x.rolling(WINDOW).rank(pct=True)),
    "quantile": (Rolling(CLOSE, WINDOW, "quantile", share=0.2), lambda x: x.rolling(WINDOW).quantile(0.2)),
    "place of max": (Rolling(CLOSE, WINDOW, "place_of_max"), each_window(place_of_max)),
    "mean distance": (
        Rolling(CLOSE, WINDOW, "mean_distance"),
        each_window(lambda w: float(np.abs(w - w.mean()).mean())),
    ),
    "running sum": (RunningSum(CLOSE), lambda x: x.fillna(0.0).cumsum()),
    "exponential mean": (Exponential(CLOSE, 0.1, "mean"), lambda x: held(x, x.ewm(alpha=0.1).mean())),
    "exponential variance": (
        Exponential(CLOSE / CLOSE.lag(1), 0.1, "variance"),
        lambda x: held(x / x.shift(1), (x / x.shift(1)).ewm(alpha=0.1).var()),
    ),
    "logarithm": (log(CLOSE - CLOSE.lag(1)), lambda x: np.log(x.diff().where(x.diff() > 0.0))),
    "quotient": (CLOSE / (CLOSE - CLOSE.lag(1)), lambda x: x / x.diff().where(x.diff() != 0.0)),
    "choice": (where(CLOSE.lag(1) > CLOSE, 1.0, CLOSE), lambda x: x.where(~(x < x.shift(1)), 1.0)),
    "observed": (observed(CLOSE), lambda x: x.notna().astype(float)),
    "or zero": (or_zero(CLOSE), lambda x: x.fillna(0.0)),
}


def skewness(x: pd.Series) -> pd.Series:
    windows = x.rolling(WINDOW)
    exact = windows.apply(lambda w: float(pd.Series(w).skew()), raw=True)
    return exact.where(windows.apply(np.std, raw=True) > 1e-12)


@pytest.mark.parametrize("name", CASES)
def test_a_kernel_equals_its_definition(name: str, tickers: pd.DataFrame) -> None:
    node, definition = CASES[name]
    wanted = pd.concat(
        [definition(group["close"].reset_index(drop=True)) for _, group in tickers.groupby("ticker")], ignore_index=True
    )

    found = by_kernels(tickers, {"value": node})["value"]

    assert (found.isna() == wanted.isna()).all()
    np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", ["ema", "wilder", "fading sum"])
def test_averages_equal_ta_lib(name: str) -> None:
    frame = bars("walk", walk(200, 6))
    close, high, low = (frame[column].to_numpy() for column in ("close", "high", "low"))
    node, wanted = {
        "ema": (ema(CLOSE, 12), talib.EMA(close, 12)),
        "wilder": (
            wilder(CLOSE - CLOSE.lag(1), 14, first=1),
            smoothed(pd.Series(np.append(np.nan, np.diff(close))), 1 / 14, 1, 14),
        ),
        "fading sum": (
            FadingSum(where(HIGH - HIGH.lag(1) < 0.0, 0.0, HIGH - HIGH.lag(1)), 14),
            # TA-Lib's own begins a bar earlier, with the plain sum.
            np.append(np.full(14, np.nan), talib.PLUS_DM(high, np.full(len(low), low.min()), 14)[14:]),
        ),
    }[name]

    found = by_kernels(frame, {"value": node})["value"].to_numpy()

    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_what_is_constant_has_no_variance_and_its_own_mean() -> None:
    frame = bars("flat", np.full(40, 0.1))
    moments = rolling_moments(CLOSE, WINDOW)

    found = by_kernels(frame, {"mean": moments.mean, "variance": moments.variance}).iloc[WINDOW - 1 :]

    assert (found["mean"] == 0.1).all()
    assert (found["variance"] == 0.0).all()


def test_a_jump_costs_no_digits_after_it() -> None:
    close = walk(400, 7)
    close[100:110] *= 1e9
    moments = rolling_moments(CLOSE, WINDOW)

    found = by_kernels(bars("jump", close), {"variance": moments.variance})["variance"]

    np.testing.assert_allclose(
        found[120:], pd.Series(close).rolling(WINDOW).apply(np.var, raw=True, kwargs={"ddof": 1})[120:], rtol=1e-12
    )


def test_series_that_differ_in_what_windows_are_told_are_one_step() -> None:
    one = program({"a": Rolling(CLOSE, 20, "mean", form="parts"), "b": Rolling(CLOSE, 20, "mean", form="shared")})

    assert len(one.steps) == 1
    assert one.outputs["a"] == one.outputs["b"]


ALL = {name: output.raw for name, output in sets.columns([*sets.SETS["all"], *sets.EXPOSURES]).items()}


@pytest.fixture(scope="module")
def universe() -> pd.DataFrame:
    return pd.concat(
        [bars(f"T{count}", walk(count, count), count) for count in (1100, 1400, 40, 700)], ignore_index=True
    )


@pytest.mark.parametrize("new_bars", [1, 5, 40])
def test_all_features_go_on_from_states_to_the_last_bit(new_bars: int, universe: pd.DataFrame) -> None:
    made = program(ALL)
    whole, states = computed(made, universe, rows_of(universe))
    state_bars = np.flatnonzero(keeps_state(universe["bar"].to_numpy()))
    counts = universe.groupby("ticker", sort=False)["bar"].transform("size")
    first = counts - new_bars
    start = ((first - made.history - 1) // SPACING * SPACING).clip(lower=0)
    read = (universe["bar"] >= start).to_numpy()
    recent = universe[read].reset_index(drop=True)
    is_given = np.isin(np.flatnonzero(read), state_bars) & (universe["bar"] < first).to_numpy()[read]
    given = states[np.isin(state_bars, np.flatnonzero(read)) & (universe["bar"] < first).to_numpy()[state_bars]]
    plain = rows_of(recent)
    assert (plain.bars > 0).any()

    later, _ = computed(made, recent, Rows(plain.bounds, plain.bars, np.flatnonzero(is_given), given))

    new = (universe["bar"] >= first).to_numpy()
    for name in ALL:
        assert np.array_equal(whole[name][new], later[name][new[read]], equal_nan=True), name


def test_rows_of_a_batch_are_written_from_the_first_day_on(universe: pd.DataFrame) -> None:
    keep, arrays = ("ticker", "date", "bar"), {"technical": ["rsi"], "ranked": ["rsi", "return"]}
    made = program({"rsi": wilder(CLOSE, 14, first=1), "return": CLOSE / CLOSE.lag(1) - 1.0})
    batch = pa.RecordBatch.from_pandas(universe.assign(date=universe["date"].dt.date), preserve_index=False)
    whole = of_tickers(batch, Table(made, keep, arrays, frozenset({"ranked"}))).to_pandas()
    day = whole["date"].sort_values().iloc[-100]

    later = of_tickers(batch, Table(made, keep, arrays, frozenset({"ranked"}), day)).to_pandas()

    pd.testing.assert_frame_equal(later, whole[whole["date"] >= day].reset_index(drop=True))
    wanted = by_kernels(universe, {"rsi": wilder(CLOSE, 14, first=1)})["rsi"]
    np.testing.assert_array_equal(np.stack(whole["technical"])[:, 0].astype(float), wanted)
    assert whole["ranked"].iloc[20].dtype == np.float32
    assert (whole["states"].notna() == keeps_state(whole["bar"].to_numpy())).all()


def test_rows_of_a_countrys_days_are_written_and_those_with_states(universe: pd.DataFrame) -> None:
    keep, arrays = ("ticker", "date", "country", "bar"), {"technical": ["rsi"]}
    made = program({"rsi": wilder(CLOSE, 14, first=1)})
    country = universe["ticker"].map(dict.fromkeys(universe["ticker"].unique()[:2], "us")).fillna("jp")
    frame = universe.assign(date=universe["date"].dt.date, country=country)
    batch = pa.RecordBatch.from_pandas(frame, preserve_index=False)
    whole = of_tickers(batch, Table(made, keep, arrays)).to_pandas()
    fridays = np.unique(whole["date"])[4::5]

    some = of_tickers(batch, Table(made, keep, arrays, days={"us": fridays.astype("datetime64[D]")})).to_pandas()

    is_day = (whole["country"] == "us") & whole["date"].isin(fridays)
    assert 0.15 < is_day.mean() < 0.25
    pd.testing.assert_frame_equal(some, whole[is_day | whole["states"].notna()].reset_index(drop=True))


def test_compiled_kernels_are_kept(tickers: pd.DataFrame) -> None:
    by_kernels(tickers, {"value": Rolling(CLOSE, WINDOW, "mean")})

    kept = Path(sums.rolling_mean.stats.cache_path)  # type: ignore[attr-defined]

    assert list(kept.glob("sums.rolling_mean-*.nbi"))


def test_a_kernel_is_compiled_where_nothing_can_be_kept() -> None:
    found: dict[str, Any] = {}
    exec(compile("def twice(x, out):\n    out[:] = 2.0 * x\n", "<no file>", "exec"), found)
    out = np.empty(3)

    kernel(found["twice"])(np.arange(3.0), out)

    assert out.tolist() == [0.0, 2.0, 4.0]


def test_tickers_are_computed_alike_whatever_stands_beside_them(universe: pd.DataFrame) -> None:
    together = by_kernels(universe, ALL)

    alone = pd.concat([by_kernels(group, ALL) for _, group in universe.groupby("ticker")], ignore_index=True)

    pd.testing.assert_frame_equal(together, alone, check_exact=True)


@pytest.mark.parametrize("factor", [1e-9, 1e-12])
def test_a_unit_of_price_changes_no_level(factor: float, universe: pd.DataFrame) -> None:
    """Whatever is ranked, but for what is measured in money."""
    ranked = {
        name: output.ranked
        for name, output in sets.columns(sets.SETS["all"]).items()
        if name not in ("amihud_21", "dollar_volume_21")
    }
    prices = ["open", "high", "low", "close", "raw_close"]
    long = universe[universe["ticker"] != "T40"]
    scaled = long.assign(**{name: long[name].where(long["ticker"] != "T700", long[name] * factor) for name in prices})

    one, other = (by_kernels(frame, ranked) for frame in (long, scaled))

    # Equal up to the rounding of a float, and of equal rank on some days.
    np.testing.assert_allclose(other[list(ranked)], one[list(ranked)], rtol=1e-6, atol=1e-9)
    for rows in list(one.groupby("date").indices.values())[::25]:
        left, right = (frame[list(ranked)].to_numpy(np.float32)[rows] for frame in (one, other))
        assert (cross_section.levels(left.astype(float)) == cross_section.levels(right.astype(float))).all()


def test_nothing_is_known_of_later_bars(universe: pd.DataFrame) -> None:
    long = universe[universe["ticker"] == "T1400"]
    cut, poisoned = long[:1000], long.copy()
    poisoned.loc[poisoned["bar"] >= 1000, INPUTS] *= 10.0

    earlier, later = by_kernels(cut, ALL), by_kernels(poisoned, ALL)[:1000]

    pd.testing.assert_frame_equal(earlier, later, check_exact=True)
    assert earlier.iloc[-1].notna().all()
