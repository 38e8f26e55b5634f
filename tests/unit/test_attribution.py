"""Attributions of every kind of estimator add up to its predictions; blends and members to a sum that ranks alike."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.planted import MISSING, NAMES, Planted, measures

from eraflow.explain import summary
from eraflow.explain.additive import Additive
from eraflow.explain.attribution import attribution
from eraflow.explain.groups import GRAPH, clusters, with_others
from eraflow.explain.rows import contributions, why
from eraflow.models.blend import FittedBlend
from eraflow.models.fitted import Fitted
from eraflow.models.levels import Levels, Vector
from eraflow.models.linear_weights import LinearWeights
from eraflow.models.member import Estimator, Member, RowEstimator
from eraflow.models.sample import Sample
from eraflow.models.steps import Chosen
from eraflow.models.trees import SparkTrees

FOREST = """
Tree 0 (weight 1.0):
  If (feature 0 <= 1.5)
   If (feature 1 <= 2.5)
    Predict: 0.1
   Else (feature 1 > 2.5)
    Predict: 0.4
  Else (feature 0 > 1.5)
   If (feature 0 <= 3.5)
    Predict: 0.5
   Else (feature 0 > 3.5)
    Predict: 0.9
Tree 1 (weight 1.0):
  If (feature 2 <= -0.5)
   Predict: 0.2
  Else (feature 2 > -0.5)
   Predict: 0.3
"""
LINEAR = LinearWeights(tuple(np.linspace(-0.3, 0.4, len(NAMES)).tolist()), 0.45)


@dataclass(frozen=True)
class Unknown(RowEstimator):
    """An estimator of which nothing is known but what it predicts."""

    inner: RowEstimator

    def save(self, folder: Path) -> dict[str, Any]:
        raise NotImplementedError

    def values(self, levels: Levels, missing: int) -> Vector:
        return self.inner.values(levels, missing)


def member(estimator: Estimator) -> Member:
    return Member("target", 1, (), estimator)


@pytest.fixture(scope="module")
def planted() -> Planted:
    return Planted.of(2)


@pytest.fixture(scope="module")
def rows(planted: Planted) -> Sample:
    return planted.validated(1)


def fitted(*estimators: Estimator, steps: tuple[Chosen, ...] = ()) -> Fitted:
    return Fitted(NAMES, MISSING, tuple(Member("target", seed, steps, one) for seed, one in enumerate(estimators)))


@pytest.mark.parametrize("kind", ["lightgbm", "linear", "spark_forest"])
def test_values_and_base_are_the_prediction(kind: str, planted: Planted, rows: Sample) -> None:
    made: dict[str, RowEstimator] = {
        "lightgbm": planted.booster(1), "linear": LINEAR, "spark_forest": SparkTrees.of(FOREST)
    }  # fmt: skip
    attributed = attribution(member(made[kind]), rows.levels[:300], rows.eras[:300], MISSING, {}, 2)
    assert not attributed.is_sampled
    found = attributed.values(rows.levels).sum(axis=1) + attributed.base
    np.testing.assert_allclose(found, made[kind].values(rows.levels, MISSING), rtol=0, atol=1e-9)


def test_a_linear_models_values_are_its_weights_times_what_is_above_the_mean(rows: Sample) -> None:
    values = attribution(member(LINEAR), rows.levels, rows.eras, MISSING, {}, 2).values(rows.levels)
    filled = np.where(rows.levels == MISSING, 0.0, rows.levels - 2.0)
    np.testing.assert_allclose(values, (filled - filled.mean(axis=0)) * np.array(LINEAR.weights), rtol=0, atol=1e-12)


def test_sampled_values_are_within_their_errors_of_the_exact_ones_and_add_up(rows: Sample) -> None:
    """A line that is told to be no line is sampled, alone and in a blend; its exact values are known."""
    exact = Additive.of(fitted(LINEAR), rows.levels, rows.eras)
    model = Additive.of(fitted(Unknown(LINEAR)), rows.levels, rows.eras)
    assert model.is_sampled
    few, eras = rows.levels[:60], rows.eras[:60]
    found, errors = model.with_errors(few, eras)
    apart = np.abs(found - exact.added(few, eras)) / np.where(errors > 0, errors, np.inf)
    assert np.mean(apart < 3) > 0.95
    assert model.gap(few, eras) < 1e-9
    assert (exact.with_errors(few, eras)[1] == 0).all()

    blend = FittedBlend({"one": fitted(LINEAR), "other": fitted(Unknown(LINEAR))}, (0.5, 0.5))
    both = Additive.of(blend, rows.levels, rows.eras)
    assert both.gap(few, eras) < 1e-9
    scale = both.parts[1].scale * 0.5
    alone = both.parts[1].values(few, eras)[1]
    assert alone is not None
    np.testing.assert_allclose(both.with_errors(few, eras)[1], alone * scale, rtol=1e-12, atol=0)


def test_an_eras_statistics_tell_the_error_of_what_is_sampled(rows: Sample) -> None:
    assert (measures(Additive.of(fitted(LINEAR), rows.levels, rows.eras), rows).error == 0).all()
    found = measures(Additive.of(fitted(Unknown(LINEAR)), rows.levels, rows.eras), rows)
    assert (found.error > 0).any()
    assert (found.fidelity == 1).all()


def test_what_is_not_read_has_no_value_and_no_name(planted: Planted, rows: Sample) -> None:
    few = LinearWeights((1.0, -1.0), 0.0)
    model = Additive.of(fitted(few, steps=(Chosen((3, 0)),)), rows.levels, rows.eras)
    assert model.names == ("faded", "linear")
    assert model.is_exact
    assert model.gap(rows.levels, rows.eras) < 1e-12
    np.testing.assert_array_equal(model.levels(rows.levels, rows.eras), rows.levels[:, [3, 0]])


def test_members_and_blends_are_sums_that_rank_rows_as_they_do(planted: Planted, rows: Sample) -> None:
    boosted = fitted(planted.booster(1, seed=1), planted.booster(1, seed=2))
    models = {"gbm": boosted, "linear": fitted(LINEAR)}
    weights = {int(era): np.array([0.9, 0.1]) for era in np.unique(rows.eras)}
    for model in (
        boosted,
        FittedBlend(models, (0.5, 0.5)),
        FittedBlend(models, (0.5, 0.5), proportion=0.5),
        FittedBlend(models, (0.5, 0.5), proportion=1.0, neutral_to=("linear", "noise_0")),
        FittedBlend(models, (0.5, 0.5), proportion=0.5, riskiest=2),
    ):
        additive = Additive.of(model, rows.levels, rows.eras)
        assert not additive.is_exact
        fidelity = measures(additive, rows).fidelity
        assert fidelity.mean() > 0.95
        assert fidelity.min() > 0.85
    plain = Additive.of(FittedBlend(models, (0.5, 0.5)), rows.levels, rows.eras)
    assert plain.gap(rows.levels, rows.eras) < 1e-9
    assert replace(plain, weights=weights).gap(rows.levels, rows.eras) < 1e-9
    heavy = replace(plain, weights=weights).contributions(rows.levels, rows.eras)
    assert not np.allclose(heavy, plain.contributions(rows.levels, rows.eras))
    # The blend itself has the weights of the era, too, and not those of the live one.
    alone = replace(plain, weights={era: np.array([0.0, 1.0]) for era in weights})
    assert measures(alone, rows).fidelity.min() > 0.999  # ties in the sum are told by rounding
    assert np.abs(alone.predictions(rows.levels, rows.eras) - plain.predictions(rows.levels, rows.eras)).max() > 0.1
    # Freed of a feature altogether, what is explained has no correlation with it.
    free = Additive.of(FittedBlend(models, (0.5, 0.5), 1.0, ("noise_0",)), rows.levels, rows.eras)
    era = rows.eras == rows.eras[0]
    total = free.contributions(rows.levels[era], rows.eras[era]).sum(axis=1)
    column = np.where(rows.levels[era, 4] == MISSING, np.nan, rows.levels[era, 4])
    filled = np.where(np.isnan(column), np.nanmean(column), column)
    assert abs(np.corrcoef(total, filled)[0, 1]) < 1e-9


def test_single_rows_of_a_neutralised_blend_are_shown_before_anything_is_taken_off(rows: Sample) -> None:
    models = {"linear": fitted(LINEAR)}
    freed = Additive.of(FittedBlend(models, (1.0,), proportion=1.0), rows.levels, rows.eras)
    found = contributions({1: freed}, {1: rows}, freed.names, 4)
    assert found["contribution"].abs().max() > 0.01
    assert freed.gap(rows.levels[:4], rows.eras[:4]) < 1e-9


def test_folds_that_read_other_features_and_so_other_groups_are_put_together(rows: Sample) -> None:
    folds = {}
    for fold, places in enumerate(((3, 0), (0, 1)), 1):
        model = Additive.of(fitted(LinearWeights((1.0, -1.0), 0.0), steps=(Chosen(places),)), rows.levels, rows.eras)
        folds[fold] = measures(model, rows, {name: (name,) for name in model.names})
    sizes = summary.group_sizes(folds, overlap=1).set_index("group")["size"]
    assert set(sizes.index) == {"faded", "linear", "one"}
    faded = folds[1].grouped[:, list(folds[1].groups).index("faded")].mean()
    assert sizes["faded"] == pytest.approx(faded / 2)  # the other fold does not read it


def test_why_a_row_is_told_by_what_raises_and_lowers_it_most(planted: Planted, rows: Sample) -> None:
    model = planted.model(1)
    ids = [f"r{place}" for place in range(50)]
    found, sums = why(model, ids, rows.levels[:50], rows.eras[:50], 3)
    values = model.contributions(rows.levels[:50], rows.eras[:50])
    for place, one in enumerate(ids):
        of_row = found[found["id"] == one].set_index("place")
        best = np.argsort(-values[place])[0]
        assert of_row.loc[1, "feature"] == NAMES[best]
        assert of_row.loc[1, "contribution"] == values[place, best] > 0
        assert of_row["contribution"].is_monotonic_decreasing
        assert (np.sign(of_row["contribution"]) == np.sign(of_row.index)).all()
    sums = sums.set_index("id")["sum"]
    assert sums.is_monotonic_decreasing
    np.testing.assert_allclose(sums[ids], model.predictions(rows.levels[:50], rows.eras[:50]), rtol=0, atol=1e-9)


def test_features_that_go_together_are_clusters_and_a_graphs_columns_a_family(rows: Sample) -> None:
    mirror = np.where(rows.levels[:, 0] == MISSING, MISSING, 4 - rows.levels[:, 0])
    twins = np.column_stack([rows.levels, rows.levels[:, 0], mirror]).astype(np.int8)
    names = (*NAMES, "twin", "mirror")
    assert clusters(twins, names, MISSING) == {"linear + 2": ("linear", "twin", "mirror")}
    found = with_others({"own": ("linear", "one"), "other": ("absent",)}, ("linear", "a_times_b"), NAMES)
    assert found == {"own": ("linear",), GRAPH: ("a_times_b",)}
