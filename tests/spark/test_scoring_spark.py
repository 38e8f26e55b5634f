"""Scoring on Spark: one row for each model, era, fold and metric, whatever the order of rows."""

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from eraflow.scoring import EraRows, FeatureSet, References, filled, score_era, score_eras, unscored_eras
from eraflow.scoring.spark import ERAS_A_CHUNK

SCHEMA = "id string, era int, fold int, model string, prediction double, target float"
KEY = ["model", "era", "fold", "metric"]
NAMES = ("f0", "f1", "f2")


def predictions_frame() -> pd.DataFrame:
    """Two models over eras 1 to 3 of 30 rows; era 3 has no target yet, era 1 of model b is in two folds."""
    draw = np.random.default_rng(7)
    parts = []
    targets = {era: np.where(era == 3, np.nan, draw.choice([0, 0.25, 0.5, 0.75, 1], 30)) for era in (1, 2, 3)}
    for model, era, fold in [("a", 1, 1), ("a", 2, 1), ("a", 3, 2), ("b", 1, 1), ("b", 1, 2), ("b", 2, 1), ("b", 3, 2)]:
        part = pd.DataFrame({"id": [f"t{row:02}_{era}" for row in range(30)], "era": era, "fold": fold, "model": model})
        part["prediction"] = draw.normal(size=30)
        part["target"] = targets[era]
        parts.append(part)
    frame = pd.concat(parts, ignore_index=True)
    frame.loc[frame["id"].str.startswith("t05"), "target"] = np.nan
    return frame


def references_frame() -> pd.DataFrame:
    """Meta model, a benchmark and three features of every id of eras 1 to 4; the meta model does not know era 2."""
    draw = np.random.default_rng(8)
    frame = pd.DataFrame([(f"t{row:02}_{era}", era) for era in range(1, 5) for row in range(30)], columns=["id", "era"])
    frame["meta"] = np.where(frame["era"] == 2, np.nan, draw.random(len(frame)))
    frame["bench"] = draw.random(len(frame))
    frame["levels"] = list(draw.integers(-1, 5, (len(frame), 3)))
    return frame


def as_spark(spark: SparkSession, frame: pd.DataFrame) -> DataFrame:
    rows = [tuple(None if value != value else value for value in row) for row in frame.to_numpy().tolist()]
    return spark.createDataFrame(rows, SCHEMA)


def references(spark: SparkSession) -> References:
    frame = references_frame()
    rows = [(i, e, None if m != m else m, b, [int(x) for x in f]) for i, e, m, b, f in frame.itertuples(index=False)]
    every = spark.createDataFrame(rows, "id string, era int, meta double, bench double, levels array<tinyint>")
    return References(
        (every.select("id", "era", "meta").where("meta is not null"), every.drop("meta")),
        meta_model="meta",
        benchmarks=("bench",),
        features={"own": FeatureSet("levels", NAMES, -1)},
    )


def collected(scored: DataFrame) -> pd.DataFrame:
    return scored.toPandas().sort_values(KEY).reset_index(drop=True)[[*KEY, "value", "detail"]]


def expected(frame: pd.DataFrame, against: pd.DataFrame | None = None) -> pd.DataFrame:
    """Each model, era and fold by itself through the metrics of one era."""
    parts = []
    for (model, era, fold), rows in frame[frame["era"] < 3].groupby(["model", "era", "fold"]):
        of_era = rows.set_index("id")
        found = EraRows(of_era[["prediction"]], of_era["target"])
        if against is not None:
            its = against[against["era"] == era].set_index("id").loc[of_era.index[of_era["target"].notna()]]
            levels = pd.DataFrame(filled(np.stack(list(its["levels"])), -1), its.index, NAMES)
            meta = its["meta"] if its["meta"].notna().any() else found.meta_model
            found = EraRows(of_era[["prediction"]], of_era["target"], meta, its[["bench"]], features={"own": levels})
        parts.append(score_era(found).assign(model=model, era=era, fold=fold))
    return pd.concat(parts).sort_values(KEY).reset_index(drop=True)[[*KEY, "value", "detail"]]


def test_score_eras_gives_every_metric_of_every_scored_fold(spark: SparkSession) -> None:
    frame = predictions_frame()

    straight = collected(score_eras(as_spark(spark, frame)))
    shuffled = collected(score_eras(as_spark(spark, frame.sample(frac=1, random_state=2)).repartition(3)))

    pd.testing.assert_frame_equal(straight, expected(frame), check_dtype=False, rtol=1e-13)
    pd.testing.assert_frame_equal(shuffled, straight, check_exact=True)


def test_references_are_met_by_id_and_era(spark: SparkSession) -> None:
    frame = predictions_frame()

    found = collected(score_eras(as_spark(spark, frame), references(spark)))

    assert set(found["metric"]) > {"mmc", "cwmm", "bmc_bench", "fnc_own", "max_exposure_own"}
    wanted = expected(frame, references_frame())
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False, rtol=1e-11)


def test_features_are_read_only_where_a_metric_needs_them(spark: SparkSession, tmp_path) -> None:
    against = references(spark)
    against.parts[1].write.parquet(str(tmp_path / "table"))
    table = spark.read.parquet(str(tmp_path / "table"))
    predictions = as_spark(spark, predictions_frame())

    without = score_eras(predictions, References((table,), benchmarks=("bench",)))
    with_features = score_eras(predictions, References((table,), benchmarks=("bench",), features=against.features))

    def plan(scored: DataFrame) -> str:
        return scored._jdf.queryExecution().executedPlan().toString()

    assert "levels" not in plan(without)
    assert "levels" in plan(with_features)


def test_churn_is_between_eras_that_follow_each_other_in_a_fold(spark: SparkSession) -> None:
    frame = predictions_frame()
    scored = collected(score_eras(as_spark(spark, frame), asset="split(id, '_')[0]"))
    churn = scored[scored["metric"] == "churn"].set_index(["model", "era", "fold"])["value"]

    assert churn.dropna().index.tolist() == [("a", 2, 1), ("b", 2, 1)]
    for model in ("a", "b"):
        of_fold = frame[(frame["model"] == model) & (frame["fold"] == 1) & frame["target"].notna()]
        wide = of_fold.assign(asset=of_fold["id"].str[:3]).pivot(index="asset", columns="era", values="prediction")
        assert churn[model, 2, 1] == pytest.approx(1 - wide[1].corr(wide[2], method="spearman"))
    rest = scored[~scored["metric"].isin(["churn", "turnover"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(rest, collected(score_eras(as_spark(spark, frame))))


def test_scores_do_not_depend_on_how_eras_are_cut_into_chunks(spark: SparkSession) -> None:
    frame = predictions_frame()
    later = frame.assign(era=frame["era"] + ERAS_A_CHUNK - 2)  # the second era is the first of a chunk

    found, moved = (collected(score_eras(as_spark(spark, part), asset="split(id, '_')[0]")) for part in (frame, later))

    pd.testing.assert_frame_equal(moved.assign(era=moved["era"] - ERAS_A_CHUNK + 2), found, check_dtype=False)


def test_eras_without_a_known_target_are_listed(spark: SparkSession) -> None:
    frame = predictions_frame()
    frame.loc[(frame["model"] == "b") & (frame["era"] == 1), "target"] = np.nan

    assert unscored_eras(as_spark(spark, frame)) == {"a": [3], "b": [1, 3]}


def test_a_missing_prediction_is_told_with_model_and_era(spark: SparkSession) -> None:
    frame = predictions_frame()
    frame.loc[(frame["model"] == "b") & (frame["era"] == 2) & (frame["id"] == "t01_2"), "prediction"] = np.nan

    with pytest.raises(Exception, match="model b, era 2, fold 1: 1 of 29 scored rows have no prediction"):
        score_eras(as_spark(spark, frame)).collect()


def test_an_id_twice_is_told_with_its_era(spark: SparkSession) -> None:
    twice = as_spark(spark, predictions_frame()).where("era = 2 and model = 'a'")

    with pytest.raises(Exception, match=r"era 2 of a: an id occurs twice"):
        score_eras(twice.unionByName(twice.withColumn("prediction", F.lit(0.5)))).collect()
