"""An ensemble of a run: what it is worth where models differ, and what a neutral one still shows of its features."""

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, SparkSession

from eraflow.ensembles.ensemble import Ensemble
from eraflow.ensembles.neutral import exposures
from eraflow.ensembles.neutralisation import Features
from eraflow.ensembles.weights import equal, non_negative
from eraflow.scoring import numerai_corr
from eraflow.spans import EraSpan

ERAS, ROWS = range(1, 25), 60
SPANS = [EraSpan(era, era, era + 3) for era in ERAS]
NAMES = ("first", "second")


def universe(spark: SparkSession) -> tuple[DataFrame, Features]:
    """Three models: one good, one that only follows a feature, one of noise."""
    draw = np.random.default_rng(6)
    predictions, rows = [], []
    for era in ERAS:
        levels = draw.integers(0, 5, (ROWS, 2))
        target = draw.choice([0, 0.25, 0.5, 0.75, 1], ROWS)
        said = {"good": target + 0.3 * draw.normal(size=ROWS), "leaning": levels[:, 0] + 0.1 * draw.normal(size=ROWS),
                "noise": draw.normal(size=ROWS)}  # fmt: skip
        ids = [f"e{era}n{row}" for row in range(ROWS)]
        rows += [(name, era, level.tolist()) for name, level in zip(ids, levels, strict=True)]
        predictions += [
            (name, era, 1, model, float(x), float(y))
            for model, values in said.items()
            for name, x, y in zip(ids, values, target, strict=True)
        ]
    schema = "id string, era int, fold int, model string, prediction double, target float"
    table = spark.createDataFrame(rows, "id string, era int, features array<tinyint>")
    return spark.createDataFrame(predictions, schema), Features(table, NAMES, -1)


def test_fitted_weights_find_the_good_model_and_a_neutral_blend_leans_on_nothing(spark: SparkSession) -> None:
    predictions, features = universe(spark)
    models = ("good", "leaning", "noise")
    plain = Ensemble("plain", models, equal, least=5)
    fitted = Ensemble("fitted", models, non_negative, least=5, proportion=1.0)
    weights = fitted.weights(predictions, SPANS, SPANS)

    assert all(weights[era].tolist() == [1 / 3] * 3 for era in range(1, 9))  # the labels of 5 eras end before era 9
    assert all(weights[era][0] > 0.9 for era in range(9, 25))

    levels = features.table.toPandas().set_index("id")["features"]
    scores: dict[str, list[float]] = {}
    for ensemble in (plain, fitted):
        by_era = ensemble.weights(predictions, SPANS, SPANS)
        found = ensemble.predict(predictions.where("era > 12"), by_era, at(features, 13)).toPandas()
        assert set(found["model"]) == {ensemble.name}
        assert len(found) == 12 * ROWS
        eras = [rows.set_index("id") for _, rows in found.groupby("era")]
        scores[ensemble.name] = [numerai_corr(rows["prediction"], rows["target"]) for rows in eras]
        leaning = [
            np.abs(exposures(rows[["prediction"]].to_numpy(), matrix(levels[rows.index]))).max() for rows in eras
        ]
        assert (max(leaning) < 1e-10) == (ensemble is fitted)
    assert np.mean(scores["fitted"]) > np.mean(scores["plain"]) + 0.1


def at(features: Features, era: int) -> Features:
    return Features(features.table.where(f"era >= {era}"), features.names, features.missing)


def matrix(levels: pd.Series) -> np.ndarray:
    return np.array(levels.tolist(), dtype=float)
