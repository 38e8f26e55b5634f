"""Levels and targets of one era: by hand for small ones, as properties for all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import norm, rankdata

from eraflow.features import cross_section
from eraflow.features.cross_section import MIN_LABELLED, MISSING

NAN = np.nan

numbers = st.floats(-1e6, 1e6, width=32)
some_missing = arrays.arrays(np.float64, st.integers(1, 60), elements=numbers | st.just(NAN))


def column(*values: float) -> np.ndarray:
    return np.array(values)[:, None]


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        ([10.0, 20.0, 30.0, 40.0, 50.0], [0, 1, 2, 3, 4]),
        ([5.0, 4.0, 3.0, 2.0, 1.0], [4, 3, 2, 1, 0]),
        ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0], [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]),
        ([10.0, NAN, 20.0, 30.0, 40.0, 50.0], [0, MISSING, 1, 2, 3, 4]),
        ([7.0, 7.0, 7.0], [2, 2, 2]),
        ([1.0, 1.0, 1.0, 8.0, 9.0], [1, 1, 1, 3, 4]),
        ([3.0], [2]),
        ([NAN, NAN], [MISSING, MISSING]),
    ],
)
def test_levels_are_fifths_of_the_known_values(values: list[float], levels: list[int]) -> None:
    assert cross_section.levels(column(*values))[:, 0].tolist() == levels


def test_features_are_levelled_by_themselves() -> None:
    ranked = np.hstack([column(1, 2, 3, 4, 5), column(500, 400, NAN, 200, 100)])

    levels = cross_section.levels(ranked)

    assert levels.dtype == np.int8
    assert levels.tolist() == [[0, 4], [1, 3], [2, MISSING], [3, 1], [4, 0]]


@settings(deadline=None, max_examples=50)
@given(arrays.arrays(np.float64, st.tuples(st.integers(0, 40), st.integers(1, 4)), elements=numbers | st.just(NAN)))
def test_quantiles_are_scipys_average_ranks(values: np.ndarray) -> None:
    known = ~np.isnan(values)
    wanted = np.full(values.shape, NAN)
    for column_, its, of in zip(values.T, known.T, wanted.T, strict=True):
        of[its] = (rankdata(column_[its]) - 0.5) / max(1, its.sum())

    np.testing.assert_array_equal(cross_section.quantiles(values), wanted)
    np.testing.assert_array_equal(cross_section.quantiles(values[:, 0]), wanted[:, 0])


@settings(deadline=None, max_examples=50)
@given(some_missing)
def test_levels_keep_order_and_share_ties(values: np.ndarray) -> None:
    levels = cross_section.levels(values[:, None])[:, 0]

    observed = ~np.isnan(values)
    assert (levels[~observed] == MISSING).all()
    assert set(levels[observed]) <= {0, 1, 2, 3, 4}
    by_value = levels[observed][np.argsort(values[observed], kind="stable")]
    assert (np.diff(by_value) >= 0).all()
    assert len(set(zip(values[observed], levels[observed], strict=True))) == len(set(values[observed]))


@settings(deadline=None, max_examples=50)
@given(some_missing, st.randoms(use_true_random=False))
def test_levels_do_not_depend_on_the_order_of_tickers(values: np.ndarray, random: object) -> None:
    order = list(range(len(values)))
    random.shuffle(order)  # type: ignore[attr-defined]

    shuffled = cross_section.levels(values[order][:, None])

    assert (shuffled == cross_section.levels(values[:, None])[order]).all()


@settings(deadline=None, max_examples=50)
@given(arrays.arrays(np.float64, 40, elements=st.integers(-(10**6), 10**6).map(float)))
def test_only_the_order_of_values_counts(values: np.ndarray) -> None:
    increasing = values**3 + 5.0 * values  # exact: whole numbers up to 1e18 apart by more than their rounding
    stretched = cross_section.levels(increasing[:, None])

    assert (stretched == cross_section.levels(values[:, None])).all()


@pytest.mark.parametrize("missing", [0, 37])
def test_bins_hold_5_20_50_20_and_5_percent(missing: int) -> None:
    values = np.random.default_rng(1).permutation(np.r_[np.arange(1000.0), np.full(missing, NAN)])

    binned = cross_section.binned(values)

    shares = {value: int((binned == value).sum()) for value in (0.0, 0.25, 0.5, 0.75, 1.0)}
    assert shares == {0.0: 50, 0.25: 200, 0.5: 500, 0.75: 200, 1.0: 50}
    assert (np.isnan(binned) == np.isnan(values)).all()
    assert values[binned == 1.0].min() > values[binned == 0.75].max()


def test_equal_values_share_a_bin() -> None:
    assert cross_section.binned(np.array([1.0, 1.0, 1.0, NAN])).tolist()[:3] == [0.5, 0.5, 0.5]


def test_gaussian_scores_are_normal_quantiles_and_0_where_unknown() -> None:
    scores = cross_section.gaussian(np.array([30.0, NAN, 10.0, 20.0]))

    np.testing.assert_allclose(scores, [norm.ppf(5 / 6), 0.0, norm.ppf(1 / 6), 0.0], atol=1e-15)


def era(tickers: int = 120, seed: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns that sectors and two exposures explain in good part; some of each are not known."""
    random = np.random.default_rng(seed)
    exposures = random.normal(size=(tickers, 2))
    sectors = random.choice(np.array(["energy", "health", "tech"], dtype=object), tickers)
    returns = 0.5 * exposures[:, 0] + 0.7 * (sectors == "tech") + random.normal(size=tickers)
    returns[::11] = NAN
    exposures[::7, 1] = NAN
    return returns, sectors, exposures


def test_a_residual_is_orthogonal_to_sectors_and_exposures() -> None:
    returns, sectors, exposures = era()

    left = cross_section.residual(returns, sectors, exposures)

    observed = ~np.isnan(returns)
    assert (np.isnan(left) == ~observed).all()
    for sector in ("energy", "health", "tech"):
        assert abs(left[observed & (sectors == sector)].sum()) < 1e-9
    for exposure in exposures[observed].T:
        assert abs(left[observed] @ cross_section.gaussian(exposure)) < 1e-9
    assert 0.5 < left[observed].std() < 0.95  # the explained part is gone, the rest is there


def test_a_residual_to_sectors_is_the_distance_from_the_sector_mean() -> None:
    returns, sectors, _ = era()
    observed = ~np.isnan(returns)
    scores = np.full(returns.shape, NAN)
    scores[observed] = cross_section.gaussian(returns[observed])

    left = cross_section.residual(returns, sectors, None)

    for sector in ("energy", "health", "tech"):
        its = observed & (sectors == sector)
        np.testing.assert_allclose(left[its], scores[its] - scores[its].mean(), atol=1e-11)


def test_what_cannot_be_known_of_the_others_does_not_count() -> None:
    returns, sectors, exposures = era()
    observed = ~np.isnan(returns)

    whole = cross_section.targets(returns, sectors, exposures)
    alone = cross_section.targets(returns[observed], sectors[observed], exposures[observed])

    assert list(whole) == ["raw", "sector", "neutral"]
    for kind, target in whole.items():
        assert np.isnan(target[~observed]).all()
        np.testing.assert_array_equal(target[observed], alone[kind])
        assert set(target[observed]) == {0.0, 0.25, 0.5, 0.75, 1.0}


def test_the_three_targets_differ_by_what_is_taken_out() -> None:
    returns, sectors, exposures = era(tickers=2000)
    observed = ~np.isnan(returns)

    found = cross_section.targets(returns, sectors, exposures)

    tech = {kind: target[observed & (sectors == "tech")].mean() for kind, target in found.items()}
    tilt = {kind: np.corrcoef(target[observed], exposures[observed, 0])[0, 1] for kind, target in found.items()}
    assert tech["raw"] > 0.55
    assert tech["sector"] == pytest.approx(0.5, abs=0.01)
    assert tilt["sector"] > 0.3
    assert tilt["neutral"] == pytest.approx(0.0, abs=0.02)


def test_equal_returns_of_equal_tickers_share_every_target() -> None:
    returns, sectors, exposures = (np.tile(part, (2, 1) if part.ndim > 1 else 2) for part in era())

    for target in cross_section.targets(returns, sectors, exposures).values():
        np.testing.assert_array_equal(target[:120], target[120:])


def test_too_few_known_returns_make_no_target() -> None:
    returns = np.full(30, NAN)
    returns[: MIN_LABELLED - 1] = np.arange(MIN_LABELLED - 1)
    sectors = np.full(30, "one", dtype=object)

    found = cross_section.targets(returns, sectors, np.zeros((30, 1)))

    assert all(np.isnan(target).all() for target in found.values())


def test_a_residual_needs_ten_more_tickers_than_regressors() -> None:
    random = np.random.default_rng(2)
    exposures = random.normal(size=(13, 2))
    sectors = np.full(13, "one", dtype=object)  # with two exposures: three regressors
    returns = random.normal(size=13)

    assert not np.isnan(cross_section.residual(returns, sectors, exposures)).any()
    assert np.isnan(cross_section.residual(returns[:12], sectors[:12], exposures[:12])).all()
    few = cross_section.targets(returns[:12], sectors[:12], exposures[:12])
    assert np.isnan(few["neutral"]).all()
    assert not np.isnan(few["sector"]).any()
    assert not np.isnan(few["raw"]).any()


@pytest.mark.parametrize("case", ["as they are", "a sector of one ticker", "a constant exposure", "unknown exposures"])
def test_a_residual_is_what_least_squares_on_sectors_and_exposures_leave(case: str) -> None:
    random = np.random.default_rng(31)
    values, exposures = random.normal(size=80), random.normal(size=(80, 3))
    sectors = np.array([f"s{number}" for number in random.integers(0, 5, 80)], dtype=object)
    values[::9] = np.nan
    if case == "a sector of one ticker":
        sectors[1] = "alone"
    elif case == "a constant exposure":
        exposures[:, 1] = 2.0
    elif case == "unknown exposures":
        exposures[random.random(exposures.shape) < 0.3] = np.nan

    found = cross_section.residual(values, sectors, exposures)

    is_known = ~np.isnan(values)
    dummies = (sectors[is_known, None] == np.unique(sectors[is_known])).astype(float)
    regressors = np.hstack([dummies, cross_section.gaussian(exposures[is_known])])
    scores = cross_section.gaussian(values[is_known])
    left = scores - regressors @ np.linalg.lstsq(regressors, scores, rcond=None)[0]
    np.testing.assert_allclose(found[is_known], left, atol=2e-12)
    assert np.isnan(found[~is_known]).all()


def test_without_exposures_a_neutral_target_is_that_of_the_sector() -> None:
    random = np.random.default_rng(32)
    sectors = np.array(["one", "other"] * 30, dtype=object)

    found = cross_section.targets(random.normal(size=60), sectors, np.zeros((60, 0)))

    np.testing.assert_array_equal(found["neutral"], found["sector"])
