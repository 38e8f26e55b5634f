"""What was planted is found, what was not is not: SHAP, permutation, interactions, dependence and signs."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from tests.planted import FOLDS, NAMES, NOISE, PERIOD, Planted, losses, measures

from eraflow.config.explain import ExpectedSign
from eraflow.explain import summary
from eraflow.explain.dependence import dependence, pair_dependence
from eraflow.explain.interactions import interactions

FOLD_NUMBERS = range(1, FOLDS + 1)


@pytest.fixture(scope="module")
def planted() -> Planted:
    return Planted.of(1)


def importance(planted: Planted) -> pd.DataFrame:
    models = {fold: planted.model(fold) for fold in FOLD_NUMBERS}
    validated = {fold: measures(model, planted.validated(fold)) for fold, model in models.items()}
    learned = {fold: measures(model, planted.learned(fold)) for fold, model in models.items()}
    return summary.importance(validated, learned, overlap=1)


def lost(planted: Planted) -> pd.DataFrame:
    units = [(place,) for place in range(len(NAMES))]
    parts = [losses(planted.model(fold), planted.validated(fold), units, seed=3) for fold in FOLD_NUMBERS]
    return summary.permutation_importance(pd.concat(parts), overlap=1).assign(
        feature=lambda found: [NAMES[unit] for unit in found["unit"]]
    )


def test_shap_ranks_what_was_planted_and_tells_what_has_faded(planted: Planted) -> None:
    found = importance(planted).set_index("feature")

    assert set(found.index[:4]) == {"linear", "one", "two", "faded"}
    assert found["share"].sum() == pytest.approx(1)
    assert found.loc["linear", "direction_low"] > 0
    assert found.loc[["one", "two"], "direction"].abs().max() < 0.2 * found.loc["linear", "direction"]
    # What has faded is believed in as before, was worth much where it was learned, and earns nothing now.
    faded = found.loc["faded"]
    assert faded["share"] > 0.1
    assert faded["training_earned"] > 0.2
    assert faded["earned_low"] < 0 < faded["earned_high"]
    assert found.loc["linear", "earned_low"] > 0.1
    assert (found.loc[list(NOISE), "earned"].abs() < 0.02).all()
    assert (found["top_folds"] == FOLDS).all()  # there are fewer than twenty


def test_permutation_ranks_what_was_planted(planted: Planted) -> None:
    found = lost(planted).set_index("feature").sort_values("loss", ascending=False)
    assert set(found.index[:3]) == {"linear", "one", "two"}
    assert (found.loc[["linear", "one", "two"], "low"] > 0.05).all()
    assert (found["eras"] == FOLDS * PERIOD).all()


def test_what_earned_adds_up_to_is_the_correlation_with_the_target(planted: Planted) -> None:
    model, rows = planted.model(1), planted.validated(1)
    found = measures(model, rows)
    for place, era in enumerate(found.eras):
        of_era = rows.eras == era
        expected = np.corrcoef(model.sums(rows.levels[of_era], rows.eras[of_era]), rows.target[of_era])[0, 1]
        assert found.earned[place].sum() == pytest.approx(expected, abs=1e-12)


def test_the_planted_pair_leads_the_interactions_and_its_dependence_is_a_product(planted: Planted) -> None:
    models = {fold: planted.model(fold) for fold in FOLD_NUMBERS}
    samples = {fold: planted.validated(fold) for fold in FOLD_NUMBERS}
    found = interactions(models, samples, NAMES)
    assert {found["first"][0], found["second"][0]} == {"one", "two"}
    assert found["size"][0] > 2 * found["size"][1]

    grid = pair_dependence(models, samples, ("one", "two"), NAMES)
    assert grid["third"].unique().tolist() == ["early", "middle", "late"]
    corners = grid[grid["first"].isin([0, 4]) & grid["second"].isin([0, 4])]
    assert ((corners["effect"] > 0) == (corners["first"] == corners["second"])).all()
    line = dependence(models, samples, ["linear", "noise_0"], NAMES).pivot(
        index="level", columns=["feature", "third"], values="effect"
    )
    assert (line["linear"].diff().dropna() > 0).all().all()
    assert np.ptp(line["noise_0"].to_numpy()) < 0.2 * np.ptp(line["linear"].to_numpy())


def test_expected_signs_agree_contradict_or_cannot_be_told(planted: Planted) -> None:
    signs = {"linear": 1, "faded": -1, "one": 1, "absent": 1}
    why = {name: ExpectedSign(sign=sign, why="planted so") for name, sign in signs.items()}
    found = summary.verdicts(importance(planted), why).set_index("feature")["verdict"].to_dict()
    assert found["linear"] == "agrees"
    assert found["faded"] == "contradicts"
    assert set(found) == {"linear", "faded", "one"}
    flat = importance(planted).assign(direction_low=-1.0, direction_high=1.0)
    assert set(summary.verdicts(flat, why)["verdict"]) == {"cannot be told"}


SEEDS = [
    pytest.param(range(3), id="few", marks=pytest.mark.slow),
    pytest.param(range(40), id="forty", marks=pytest.mark.soak),
]


@pytest.mark.parametrize("seeds", SEEDS)
def test_noise_is_told_from_what_was_planted(seeds: range) -> None:
    held, total = {"permutation": 0, "earned": 0}, 0
    for seed in seeds:
        planted = Planted.of(1000 + seed)
        permuted, shap = lost(planted).set_index("feature"), importance(planted).set_index("feature")
        assert set(permuted["loss"].nlargest(3).index) == {"linear", "one", "two"}
        assert set(shap.index[:4]) == {"linear", "one", "two", "faded"}
        for kind, low, high in _intervals(permuted, shap):
            held[kind] += int(((low <= 0) & (high >= 0)).sum())
        total += len(NOISE)
    least = 0.93 if len(seeds) > 10 else 0.75
    assert {kind: count / total >= least for kind, count in held.items()} == dict.fromkeys(held, True), (held, total)


def _intervals(permuted: pd.DataFrame, shap: pd.DataFrame) -> Iterator[tuple[str, pd.Series, pd.Series]]:
    noise = list(NOISE)
    yield "permutation", permuted.loc[noise, "low"], permuted.loc[noise, "high"]
    yield "earned", shap.loc[noise, "earned_low"], shap.loc[noise, "earned_high"]
