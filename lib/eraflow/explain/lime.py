"""LIME by SynapseML, for chosen rows of a model that Spark ML has a form of; SHAP of the same rows stands beside it.

Ribeiro et al. 2016: a linear model of what the model predicts near a row, over samples drawn from normal distributions
around its levels. With some thousand features its thousand samples tell nothing, so that the features of the largest
mean |SHAP| are varied and the others held where the row has them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from synapse.ml.explainers import VectorLIME
from synapse.ml.lightgbm import LightGBMRegressionModel

from eraflow.errors import InputError
from eraflow.explain.additive import Additive
from eraflow.models.levels import CENTRE, Eras, Levels, Matrix
from eraflow.models.trees import LightGbmTrees

SAMPLES = 2_000  # around each row
MOST = 40  # features that are varied
SHRINKAGE = 1e-6  # of the local model's weights; without any, features that are held still leave it undetermined


def lime(
    spark: SparkSession, model: Additive, ids: Sequence[str], levels: Levels, eras: Eras, background: Levels,
    top: Sequence[str],
) -> pd.DataFrame:  # fmt: skip
    """`id, feature, level, slope, lime, shap` of each row and each of the `top` features that it reads, at most 40.

    `slope`: what the local model adds for a level more, `lime` that times what the row's level is above the
    background's mean, in the unit of SHAP. InputError where the model is not one booster of LightGBM.
    """
    trees = _booster(model)
    part, held = model.parts[0], [name for name in top if name in model.names][:MOST]
    rows, around = (_filled(part.member.columns(read, at), model.missing) for read, at in
                    ((levels, eras), (background, np.full(len(background), eras[0]))))  # fmt: skip
    place = [model.names.index(name) for name in held]
    columns = [part.places.index(at) for at in place]
    still = np.tile(np.full(rows.shape[1], float(CENTRE)), (len(around), 1))
    still[:, columns] = around[:, columns]
    jvm_model = LightGBMRegressionModel.loadNativeModelFromString(trees.text)
    explainer = VectorLIME(
        model=jvm_model.setFeaturesCol("vector"), inputCol="vector", outputCol="slopes", targetCol="prediction",
        backgroundData=_frame(spark, [str(at) for at in range(len(still))], still), numSamples=SAMPLES,
        regularization=SHRINKAGE,
    )  # fmt: skip
    found = explainer.transform(_frame(spark, ids, rows)).select(
        "id", vector_to_array(F.get("slopes", F.lit(0))).alias("slopes")
    )
    slopes = {row["id"]: np.array(row["slopes"])[columns] for row in found.collect()}  # the rows that were chosen
    shap, means = model.contributions(levels, eras)[:, place], around[:, columns].mean(axis=0)
    frames = [
        pd.DataFrame({"id": one, "feature": held, "level": rows[at, columns], "slope": slopes[one],
                      "lime": slopes[one] * (rows[at, columns] - means), "shap": shap[at]})
        for at, one in enumerate(ids)
    ]  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def can_speak(model: Additive) -> bool:
    """Whether LIME can be asked about this model."""
    return len(model.parts) == 1 and isinstance(model.parts[0].member.estimator, LightGbmTrees)


def _booster(model: Additive) -> LightGbmTrees:
    estimator = model.parts[0].member.estimator
    if not can_speak(model) or not isinstance(estimator, LightGbmTrees):
        raise InputError("LIME is for a model of one booster or forest of LightGBM; name another with --models.")
    return estimator


def _filled(levels: Levels, missing: int) -> Matrix:
    """Levels with the middle one where one is unknown: samples are drawn around numbers."""
    return np.where(levels == missing, CENTRE, levels).astype(np.float64)


def _frame(spark: SparkSession, ids: Sequence[str], values: Matrix) -> DataFrame:
    plain = spark.createDataFrame(list(zip(ids, values.tolist(), strict=True)), "id string, levels array<double>")
    return plain.select("id", array_to_vector(F.col("levels")).alias("vector"))
