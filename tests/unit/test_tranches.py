"""What a worker computes for the strategy view, against plain loops."""

import numpy as np
import pyarrow as pa
import pytest

from eraflow.batches import packed, unpacked
from eraflow.scoring.tranches import KEYS, Held, Holding, Positions, quantiles, volatilities

HOLDING = Holding(lag=1, horizon=3)


def test_a_volatility_is_of_the_last_sixty_returns_with_twenty_known() -> None:
    draw = np.random.default_rng(0)
    returns = np.where(draw.random(200) < 0.5, np.nan, draw.normal(size=200))

    found = volatilities(returns, np.arange(-1, 200))

    for place, value in zip(range(-1, 200), found, strict=True):
        observed = returns[max(place - 59, 0) : place + 1]
        observed = observed[~np.isnan(observed)]
        assert value == pytest.approx(np.std(observed) if len(observed) >= 20 else np.nan, nan_ok=True)


def test_a_tranche_weighs_by_side_and_volatility() -> None:
    common = {"chunk": 0, "model": "m", "era": 1, "country": ""}
    rows = [common | {"ticker": name, "session": 7, "prediction": value, "risk": risk}
            for name, value, risk in (("a", 0.1, 0.01), ("b", 0.2, 0.02), ("c", 0.9, 0.04))]  # fmt: skip

    found = unpacked(next(Positions(HOLDING)([packed(pa.RecordBatch.from_pylist(rows), *KEYS)]))).to_pydict()

    daily = 0.15 / 252**0.5 / 3
    np.testing.assert_allclose(found["weight"], [-daily / 0.01, 0.0, daily / 0.04])


def test_tied_predictions_are_cut_by_their_tie_and_constant_ones_not_at_all() -> None:
    common = {"chunk": 0, "model": "m", "ticker": "t", "country": ""}
    rows = [common | {"era": era, "prediction": 0.5 * (era == 1 and place > 3), "tie": -place, "ret": 0.1 * place}
            for era in (1, 2) for place in range(6)]  # fmt: skip

    found = next(quantiles([packed(pa.RecordBatch.from_pylist(rows), *KEYS)])).to_pydict()

    assert found["era"] == [1] * 5
    assert found["tickers"] == [2, 1, 1, 1, 1]
    np.testing.assert_allclose(found["ret"], [0.25, 0.1, 0.0, 0.5, 0.4])  # by tie: 3, 2 | 1 | 0 | 5 | 4


def test_what_is_held_is_the_sum_of_the_tranches_that_are_open() -> None:
    draw = np.random.default_rng(1)
    sessions = [day for day in range(12) if day != 6]  # a day without a price, in which nothing is earned
    returns, weights = draw.normal(size=11), {0: 0.5, 2: -0.2, 9: 0.4}
    rows = [
        {"model": "m", "ticker": "t", "country": "", "session": [0, 9], "weight": [0.5, 0.4], "returns": None},
        {"model": "m", "ticker": "t", "country": "", "session": [2], "weight": [-0.2], "returns": None},
        {"model": None, "ticker": "t", "country": None, "session": sessions, "weight": None, "returns": list(returns)},
    ]
    dates = np.arange(100, 112)

    found = pa.Table.from_batches(Held(HOLDING, {"": dates})([pa.RecordBatch.from_pylist(rows)])).to_pandas()

    held = np.array([sum(w for day, w in weights.items() if day + 2 <= at <= day + 4) for at in range(12)])
    earned = np.zeros(12)
    earned[sessions] = returns
    some = [2, 3, 4, 5, 6, 7, 11]  # sessions 5 and 7 sell; the last tranche goes beyond the prices
    assert [day.toordinal() - 719163 for day in found["date"]] == [100 + day for day in some]
    np.testing.assert_allclose(found["gross"] * 1e-15, (held * earned)[some], atol=1e-14)
    np.testing.assert_allclose(found["turnover"] * 1e-15, np.abs(np.diff(held, prepend=0.0))[some], atol=1e-14)
    np.testing.assert_allclose(found["exposure"] * 1e-15, np.abs(held)[some], atol=1e-14)
