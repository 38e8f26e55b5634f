"""Every metric of an era against numerai-tools called on plain frames, with ties, nulls and missing ids."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from numerai_tools import scoring as numerai
from numerai_tools import signals as numerai_signals

from eraflow.errors import InputError
from eraflow.scoring import METRICS, EraRows, filled, score_era

IDS = [f"i{number:03}" for number in range(10)]
FEATURES = pd.DataFrame({"f1": [0.0, 1, 2, 3, 4] * 2, "f2": [4.0, 3, 2, 1, 0, 1, 2, 3, 4, 0]}, index=IDS)
ROWS = 900
BINS = [0, 0.25, 0.5, 0.75, 1]
MODELS = ["one", "two", "gappy"]


def example() -> EraRows:
    return EraRows(
        predictions=pd.DataFrame({"p": [0.1, 0.2, 0.2, 0.4, 0.5, 0.6, 0.6, 0.8, 0.9, 0.95]}, index=IDS),
        target=pd.Series([0, 0.25, 0.25, 0.5, 0.5, 0.5, 0.75, 0.5, 0.75, 1], index=IDS),
        meta_model=pd.Series([0.2, 0.1, 0.3, 0.5, 0.4, 0.7, 0.6, 0.9, 0.8, 1.0], index=IDS),
        benchmarks=pd.DataFrame({"b": [0.2, 0.1, 0.3, 0.5, 0.4, 0.7, 0.6, 0.9, 0.8, 1.0]}, index=IDS),
        features={"two": FEATURES},
        neutralizers=FEATURES,
        example=pd.Series([0.2, 0.1, 0.3, 0.5, 0.4, 0.7, 0.6, 0.9, 0.8, 1.0], index=IDS),
    )


def by_metric(rows: EraRows, model: str) -> dict[str, float]:
    scored = score_era(rows)
    of_model = scored[scored["model"] == model]
    return dict(zip(of_model["metric"], of_model["value"], strict=True))


def test_the_worked_example() -> None:
    found = by_metric(example(), "p")

    assert found["numerai_corr"] == pytest.approx(0.9623103497598069, abs=1e-14)
    assert found["mmc"] == pytest.approx(0.18523705565302073, abs=1e-14)
    assert found["bmc_b"] == found["mmc"]
    assert found["fnc_two"] == pytest.approx(0.8525815835491412, abs=1e-12)
    assert found["neutral_corr"] == pytest.approx(0.7292348683127361, abs=1e-12)
    assert found["max_exposure_two"] == pytest.approx(0.495, abs=5e-4)
    scored = score_era(example())
    assert scored.loc[scored["metric"] == "max_exposure_two", "detail"].tolist() == ["f1"]
    # Sides of the target: - - - . . . + . + +, of the predictions: - - - - - + + + + +
    assert found["hit_rate"] == 1.0
    assert "top_bottom_200_corr" not in found  # the era has no 400 rows


def isnan_all(found: dict[str, float], *names: str) -> bool:
    return all(np.isnan(found[name]) for name in names)


def an_era(seed: int) -> EraRows:
    """Ties everywhere, unknown targets, a model without some ids, references and neutralisers without others."""
    draw = np.random.default_rng(seed)
    ids = pd.Index([f"n{number:04}" for number in draw.permutation(ROWS)])
    target = pd.Series(draw.choice(BINS, ROWS, p=[0.05, 0.2, 0.5, 0.2, 0.05]), index=ids)
    noise = draw.normal(size=(ROWS, 3))
    predictions = pd.DataFrame(np.round(noise + target.to_numpy()[:, None], 1), index=ids, columns=MODELS)
    before = predictions + np.round(draw.normal(size=(ROWS, 3)), 1)
    levels = pd.DataFrame(draw.integers(0, 5, (ROWS, 12)) * 1.0, index=ids, columns=[f"f{x}" for x in range(12)])
    levels["f3"] = 2.0  # an era that does not have it
    reference = pd.DataFrame(np.round(draw.random((ROWS, 3)), 2), index=ids, columns=["meta", "b1", "b2"])
    neutralizers = pd.DataFrame(draw.normal(size=(ROWS, 5)), index=ids)

    def without(frame: pd.DataFrame | pd.Series, share: float) -> pd.DataFrame | pd.Series:
        return frame[draw.random(ROWS) > share].sample(frac=1, random_state=seed)

    predictions["gappy"] = without(predictions["gappy"], 0.1).reindex(ids)
    return EraRows(
        predictions=predictions,
        target=target.mask(draw.random(ROWS) < 0.1),
        meta_model=without(reference["meta"], 0.05),
        benchmarks=without(reference[["b1", "b2"]], 0.05),
        previous=without(before, 0.05),
        features={"all": levels, "few": levels[["f1", "f2"]]},
        neutralizers=without(neutralizers, 0.05),
        weights=pd.Series(draw.random(ROWS), index=ids),
        example=without(reference["b1"], 0.05),
    )


def oracle(rows: EraRows, model: str) -> dict[str, float]:
    """numerai-tools on the rows with a known target, called as its documentation says, model by model."""
    target = rows.target.dropna().rename("target")
    predicted = rows.predictions[[model]].dropna()
    predicted = predicted[predicted.index.isin(target.index)].sort_index()
    t, p = numerai.filter_sort_index(target, predicted)

    def labelled(part: pd.DataFrame | pd.Series) -> pd.DataFrame | pd.Series:
        return part[part.index.isin(target.index)]

    def with_reference(reference: pd.Series) -> float:
        other, q = numerai.filter_sort_index(labelled(reference), predicted)
        return numerai.pearson_correlation(numerai.tie_kept_rank__gaussianize__pow_1_5(q)[model], other)

    def by_rank(reference: pd.Series) -> float:
        other, q = numerai.filter_sort_index(labelled(reference), predicted)
        return numerai.spearman_correlation(other, q[model])

    meta, neutralizers = labelled(rows.meta_model), labelled(rows.neutralizers).sort_index()
    found = {
        "numerai_corr": numerai.numerai_corr(predicted, target)[model],
        "top_bottom_200_corr": numerai.numerai_corr(predicted, target, top_bottom=200)[model],
        "spearman": numerai.spearman_correlation(t, p[model]),
        "pearson": numerai.pearson_correlation(t, p[model]),
        "mmc": numerai.correlation_contribution(predicted, meta, target)[model],
        "cwmm": with_reference(rows.meta_model),
        "corr_with_example_preds": with_reference(rows.example),
        "rank_corr_with_example_preds": by_rank(rows.example),
        "neutral_corr": numerai.neutral_correlation(predicted, neutralizers, target)[model],
        "neutral_contribution": numerai.neutral_contribution(predicted, meta, neutralizers, target)[model],
    }
    for name in ("b1", "b2"):
        found[f"bmc_{name}"] = numerai.correlation_contribution(predicted, labelled(rows.benchmarks[name]), target)[
            model
        ]
        found[f"corr_with_{name}"] = with_reference(rows.benchmarks[name])
        found[f"rank_corr_with_{name}"] = by_rank(rows.benchmarks[name])
    for name, features in rows.features.items():
        of_rows = features.loc[predicted.index]
        found[f"fnc_{name}"] = numerai.feature_neutral_corr(predicted, of_rows, target)[model]
        varying = of_rows.loc[:, of_rows.std() > 0]
        exposures = varying.apply(lambda f: numerai.pearson_correlation(f, predicted[model]))
        found[f"max_exposure_{name}"] = numerai.max_feature_correlation(predicted[model], varying)[1]
        found[f"exposure_rms_{name}"] = np.sqrt((exposures**2).mean())
    before = rows.previous[model]
    before = before[before.index.isin(predicted.index)]
    found["churn"] = numerai_signals.churn(predicted[model], before)
    both = predicted.index.intersection(before.index)
    weights = [
        numerai.weight_normalize(numerai.center(numerai.tie_kept_rank__gaussianize__pow_1_5(part)))[model]
        for part in (predicted.loc[both].sort_index(), before[both].sort_index().to_frame())
    ]
    found["turnover"] = numerai_signals.turnover(*weights)
    at = p.index.intersection(neutralizers.index).sort_values()
    found["alpha"] = numerai.alpha(predicted.loc[at], neutralizers.loc[at], rows.weights[at], target[at])[model]
    side = np.sign(t - t.median())
    agree = np.sign(p[model] - p[model].median())[side != 0] * side[side != 0]
    found["hit_rate"] = ((agree + 1) / 2).mean()
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("model", MODELS)
def test_every_metric_equals_numerai_tools_with_ties_nulls_and_missing_ids(seed: int, model: str) -> None:
    rows = an_era(seed)
    found, expected = by_metric(rows, model), oracle(rows, model)

    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-12), name


def test_the_largest_exposure_is_of_the_feature_that_numerai_tools_names() -> None:
    rows = an_era(1)
    scored = score_era(rows, {"max_exposure": METRICS["max_exposure"]})
    target = rows.target.dropna()

    for model, name, value, detail in scored.itertuples(index=False):
        predicted = rows.predictions[model].dropna()
        predicted = predicted[predicted.index.isin(target.index)].sort_index()
        features = (
            rows.features[name.removeprefix("max_exposure_")].loc[predicted.index].drop(columns="f3", errors="ignore")
        )
        assert (detail, pytest.approx(value, abs=1e-12)) == numerai.max_feature_correlation(predicted, features)


def test_the_order_of_rows_changes_no_score_by_one_bit() -> None:
    rows = an_era(2)
    shuffled = EraRows(
        rows.predictions.sample(frac=1, random_state=1),
        rows.target.sample(frac=1, random_state=2),
        rows.meta_model.sample(frac=1, random_state=3),
    )

    pd.testing.assert_frame_equal(
        score_era(shuffled), score_era(EraRows(rows.predictions, rows.target, rows.meta_model)), check_exact=True
    )


def test_only_metrics_whose_inputs_are_there_are_computed() -> None:
    rows = example()

    def names(*parts: str) -> set[str]:
        kept = {part: getattr(rows, part) for part in parts}
        return set(score_era(EraRows(rows.predictions, rows.target, **kept))["metric"])

    plain = {"numerai_corr", "spearman", "pearson", "hit_rate"}
    assert names() == plain
    assert names("meta_model") == plain | {"mmc", "cwmm"}
    assert names("benchmarks") == plain | {"bmc_b", "corr_with_b", "rank_corr_with_b"}
    assert names("example") == plain | {"corr_with_example_preds", "rank_corr_with_example_preds"}
    assert names("features") == plain | {"fnc_two", "max_exposure_two", "exposure_rms_two"}
    assert names("neutralizers") == plain | {"neutral_corr"}


@pytest.mark.filterwarnings("error")
def test_a_constant_model_has_no_value_in_any_metric_and_leaves_the_others_alone() -> None:
    rows = an_era(3)
    predictions = rows.predictions.assign(two=0.5)
    with_constant = EraRows(predictions, rows.target, rows.meta_model, rows.benchmarks, rows.previous, rows.features)
    found = score_era(with_constant)

    assert found.loc[found["model"] == "two", "value"].isna().all()
    assert (found["model"] == "two").sum() == (found["model"] == "one").sum()
    assert by_metric(with_constant, "one")["mmc"] == pytest.approx(by_metric(rows, "one")["mmc"], abs=1e-14)


@pytest.mark.parametrize(
    ("spoil", "metrics"),
    [
        (lambda reference: reference.iloc[: ROWS // 2], ["mmc", "cwmm"]),
        (lambda reference: reference * 0 + 0.5, ["mmc", "cwmm"]),
    ],
    ids=["known for half of the rows", "constant"],
)
def test_a_reference_that_tells_too_little_gives_no_value(
    spoil: Callable[[pd.Series], pd.Series], metrics: list[str]
) -> None:
    rows = an_era(0)
    found = by_metric(EraRows(rows.predictions, rows.target, spoil(rows.meta_model)), "one")

    assert isnan_all(found, *metrics)
    assert not np.isnan(found["numerai_corr"])


def test_features_that_leave_no_row_free_give_no_fnc_but_exposures() -> None:
    rows = example()
    wide = pd.DataFrame(np.random.default_rng(0).normal(size=(10, 9)), index=IDS)
    found = by_metric(EraRows(rows.predictions, rows.target, features={"wide": wide}), "p")

    assert isnan_all(found, "fnc_wide")
    assert found["max_exposure_wide"] > 0


def test_a_model_without_a_fifth_of_the_rows_is_refused() -> None:
    rows = example()

    with pytest.raises(InputError, match=r"numerai-tools cannot score these values .*overlapping ids"):
        score_era(EraRows(rows.predictions.iloc[:7], rows.target))


def test_a_missing_level_is_the_mean_of_its_feature() -> None:
    levels = np.array([[0, -1, -1], [4, 2, -1], [-1, 4, -1]], dtype=np.int8)

    np.testing.assert_array_equal(filled(levels, -1), [[0.0, 3.0, 0.0], [4.0, 2.0, 0.0], [2.0, 4.0, 0.0]])


def test_a_model_that_was_not_there_in_the_era_before_has_no_churn() -> None:
    rows = an_era(0)
    found = score_era(EraRows(rows.predictions, rows.target, previous=rows.previous.assign(two=np.nan)))

    assert set(found.loc[found["metric"] == "churn", "model"]) == {"one", "gappy"}
    assert found.loc[found["metric"] == "churn", "value"].notna().all()
