"""Levels of an era: among all, within groups, neutral to exposures, and of products."""

import numpy as np
import pytest

from eraflow.errors import InputError
from eraflow.features import cross_section
from eraflow.features.ranking import Ranking
from eraflow.features.technical import Rsi, Stochastic

FEATURES = (Rsi(14), Stochastic(5, 3, 3))
TICKERS = 60
RANDOM = np.random.default_rng(5)
RANKED = RANDOM.normal(size=(TICKERS, 3))
RANKED[RANDOM.random(RANKED.shape) < 0.1] = np.nan
EXPOSURES = RANDOM.normal(size=(TICKERS, 4))
GROUPS = {
    "sector": np.array(["a", "b", "c"] * 18 + ["tiny"] * 4 + ["a"] * 2, dtype=object),
    "country": np.array(["x"] * 30 + ["y"] * 30, dtype=object),
}


def test_a_feature_has_a_column_for_each_rank_and_each_interaction() -> None:
    ranking = Ranking(FEATURES, ("universe", "sector"), (), [("rsi_14", "stoch_d_5_3_3")])

    names = ["rsi_14", "stoch_k_5_3_3", "stoch_d_5_3_3"]
    assert ranking.names == [*names, *(f"{name}_in_sector" for name in names), "rsi_14_x_stoch_d_5_3_3"]
    assert ranking.levels(RANKED, GROUPS, EXPOSURES).shape == (TICKERS, 7)
    assert ranking.families == {"technical": ranking.names[:-1], "interactions": ranking.names[-1:]}


@pytest.mark.parametrize("group", ["sector", "country"])
def test_ranks_within_a_group_are_those_of_the_group_alone(group: str) -> None:
    found = Ranking(FEATURES, (group,)).levels(RANKED, GROUPS, EXPOSURES)

    for name in ("a", "b", "c") if group == "sector" else ("x", "y"):
        rows = GROUPS[group] == name
        assert np.array_equal(found[rows], cross_section.levels(RANKED[rows]))


def test_a_group_too_small_for_fifths_has_no_levels() -> None:
    found = Ranking(FEATURES, ("sector",)).levels(RANKED, GROUPS, EXPOSURES)

    assert (found[GROUPS["sector"] == "tiny"] == cross_section.MISSING).all()


def test_neutral_levels_do_not_see_the_exposure() -> None:
    tilted = RANKED + 3.0 * EXPOSURES[:, [1]]  # size
    ranking = Ranking(FEATURES, ("universe", "neutral"), ("size",))

    found = ranking.levels(tilted, GROUPS, EXPOSURES).astype(float)
    observed = ~np.isnan(tilted[:, 0])
    plain, neutral = found[observed, 0], found[observed, 3]
    assert ranking.names[3] == "rsi_14_neutral"
    assert np.corrcoef(plain, EXPOSURES[observed, 1])[0, 1] > 0.8
    assert abs(np.corrcoef(neutral, EXPOSURES[observed, 1])[0, 1]) < 0.1
    assert ((found[:, 3] == cross_section.MISSING) == ~observed).all()


def test_an_interaction_is_the_rank_of_the_product_of_centred_ranks() -> None:
    found = Ranking(FEATURES, interactions=[("rsi_14", "stoch_k_5_3_3")]).levels(RANKED, GROUPS, EXPOSURES)[:, 3]

    first, second = (cross_section.quantiles(RANKED[:, column]) - 0.5 for column in (0, 1))
    both_high_or_both_low = (first * second) > np.nanquantile(first * second, 0.9)
    assert (found[both_high_or_both_low] == 4).all()
    assert (found[np.isnan(first * second)] == cross_section.MISSING).all()
    assert set(found) == {-1, 0, 1, 2, 3, 4}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"interactions": [("rsi_14", "rsi_15")]}, "features.interactions: there is no feature 'rsi_15' in the set"),
        ({"ranks": ("neutral",), "neutral_to": ("width",)}, "features.neutral_to: there is no exposure 'width'"),
        ({"ranks": ("neutral",)}, "features.neutral_to names exposures if, and only if"),
        ({"neutral_to": ("beta",)}, "features.neutral_to names exposures if, and only if"),
    ],
)
def test_what_cannot_be_ranked_is_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Ranking(FEATURES, **settings)  # type: ignore[arg-type]
