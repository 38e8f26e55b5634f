"""The search for settings inside a training part: what it sees, what its trials are worth, and what is refused."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from eraflow import registry, scoring
from eraflow.config import Config, load
from eraflow.errors import InputError
from eraflow.features.hashes import of_rows
from eraflow.models.base import Training
from eraflow.pipeline.cells import Cells
from eraflow.pipeline.dataset import Eras, hashes_together
from eraflow.pipeline.fitting import Fitting
from eraflow.pipeline.folder import RunFolder
from eraflow.pipeline.searching import Searching
from eraflow.progress import PlainProgress
from eraflow.scoring import References
from eraflow.spans import spans_from_numbers

pytestmark = pytest.mark.slow

NAMES = ("first", "second", "third")
ERAS, ROWS = 60, 40
PART = range(1, 41)  # the training part; what comes after it is validated by the run
SCHEMA = "id string, era int, features array<tinyint>, target float, meta double"
SETTINGS = (
    "models={lightgbm: null, ridge: {kind: linear}}",
    "search.model=ridge",
    "search.space={penalty: {low: 0.001, high: 1000, log: true}}",
    "search.trials=3",
    "search.folds=2",
    "search.min_train_eras=12",
)


def universe(spark: SparkSession, folder: Path) -> Training:
    draw = np.random.default_rng(2)
    rows = []
    for era in range(1, ERAS + 1):
        levels = draw.integers(0, 5, (ROWS, len(NAMES)))
        target = (levels[:, 0] - 2) * 0.1 + draw.normal(size=ROWS)
        meta = levels[:, 1] + draw.normal(size=ROWS)
        rows += [
            (f"n{era:02}{row:02}", era, levels[row].tolist(), float(target[row]), float(meta[row]))
            for row in range(ROWS)
        ]
    spark.createDataFrame(rows, SCHEMA).coalesce(1).write.parquet(str(folder))
    return Training(spark.read.parquet(str(folder)), NAMES, "target", -1)


@pytest.fixture(scope="module")
def training(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Training:
    return universe(spark, tmp_path_factory.mktemp("rows") / "rows")


def dataset(training: Training, references: References | None = None) -> Any:
    """What a search sees of a `Dataset`."""
    eras = Eras(spans_from_numbers(range(1, ERAS + 1), 20), overlap=5, live=ERAS + 1)
    given: dict[str, Any] = {
        "training": training,
        "eras": eras,
        "references": references or References(),
        "asset": None,
    }

    def era_hashes(targets: Sequence[str]) -> dict[int, str]:
        return hashes_together(of_rows(training.table, targets), ("levels", *targets))

    return SimpleNamespace(
        spans=lambda targets: eras.spans,
        era_hashes=era_hashes,
        files=lambda eras: [],
        reading=(),
        reference_files=[],
        tables=[],
        **given,
    )


def searching(training: Training, folder: Path, config: Config, references: References | None = None) -> Searching:
    data, progress = dataset(training, references), PlainProgress()
    fitting = Fitting(config, data, Cells(folder / "cells", progress))
    return Searching(config, data, fitting, RunFolder(folder), progress)


def found(training: Training, folder: Path, *more: str, references: References | None = None) -> pd.DataFrame:
    search = searching(training, folder, load([], [*SETTINGS, *more]), references)
    search.settings("ridge", "fold-1", list(PART))
    return search.trials()


@pytest.fixture(scope="module")
def tried(training: Training, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return found(training, tmp_path_factory.mktemp("tried"))


def test_eras_outside_the_training_part_change_no_trial(
    training: Training, tried: pd.DataFrame, tmp_path: Path
) -> None:
    outside = F.col("era") > max(PART)
    poisoned = training.table.withColumns(
        {
            "target": F.when(outside, -F.expr("features[0]")).otherwise(F.col("target")).cast("float"),
            "features": F.when(outside, F.expr("array(4Y, 4Y, 4Y)")).otherwise(F.col("features")),
        }
    )

    pd.testing.assert_frame_equal(found(replace(training, table=poisoned), tmp_path), tried)


def test_a_trial_is_worth_the_mean_score_of_purged_inner_folds(
    training: Training, tried: pd.DataFrame, tmp_path: Path
) -> None:
    config = load([], list(SETTINGS))
    folds = searching(training, tmp_path, config).folds(config.models["ridge"], list(PART))

    assert folds[-1].validation[-1] == max(PART)
    for fold in folds:
        assert fold.validation[0] - fold.train[-1] == 9  # 8 eras are purged
    means = []
    for fold in folds:
        fitted = registry.build(config.models["ridge"], "target", config.run.seed).fit(training, fold.train)
        rows = training.rows(fold.validation).toPandas().merge(
            fitted.predict(training.rows(fold.validation)).toPandas(), on=["id", "era"]
        )  # fmt: skip
        each = [scoring.numerai_corr(of_era.set_index("id")["prediction"], of_era.set_index("id")["target"])
                for _, of_era in rows.groupby("era")]  # fmt: skip
        means.append(np.mean(each))
    first = tried.iloc[0]
    assert json.loads(first["settings"]) == {"penalty": config.models["ridge"].model_dump()["penalty"]}
    assert first["value"] == pytest.approx(np.mean(means))


def test_the_best_settings_are_taken_and_other_models_are_left_alone(training: Training, tmp_path: Path) -> None:
    config = load([], [*SETTINGS, "models.other.kind=linear"])
    run = searching(training, tmp_path, config)

    best = run.settings("ridge", "fold-1", list(PART))

    complete = run.trials().query("state == 'complete'")
    assert best.model_dump()["penalty"] == json.loads(complete.loc[complete["value"].idxmax(), "settings"])["penalty"]
    assert run.settings("other", "fold-1", list(PART)) == config.models["other"]


def test_an_objective_may_weigh_scores_against_a_meta_model(training: Training, tmp_path: Path) -> None:
    meta = References((training.table.select("id", "era", "meta"),), meta_model="meta")
    weights = "search.objective={numerai_corr: 1.0, cwmm: -0.5}"
    both = found(training, tmp_path / "both", "search.trials=1", weights, references=meta)
    each = [
        found(training, tmp_path / name, "search.trials=1", f"search.objective={{{name}: 1.0}}", references=meta)
        for name in ("numerai_corr", "cwmm")
    ]

    assert both["value"].item() == pytest.approx(each[0]["value"].item() - 0.5 * each[1]["value"].item())
    late = References((training.table.select("id", "era", "meta").where(f"era = {ERAS}"),), meta_model="meta")
    with pytest.raises(InputError, match=r"eras .* have no 'mmc'"):
        found(training, tmp_path / "none", "search.trials=1", "search.objective={mmc: 1.0}", references=late)


def test_what_cannot_be_searched_is_told(training: Training, tmp_path: Path) -> None:
    config = load([], [*SETTINGS, "search.objective={fnc: 1.0}"])
    with pytest.raises(
        InputError, match=r"search\.objective: 'fnc' is not scored here; choose from numerai_corr, spearman"
    ):
        searching(training, tmp_path, config).metrics()
    plain = load([], list(SETTINGS))
    with pytest.raises(InputError, match=r"search\.min_train_eras=12 do not fit into a training part of 15 eras"):
        searching(training, tmp_path, plain).folds(plain.models["ridge"], list(range(1, 16)))


def test_a_search_that_was_done_is_not_done_again_and_eras_after_it_are_none_of_its_key(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = searching(training, tmp_path, load([], [*SETTINGS, "search.trials=1"]))
    best = run.settings("ridge", "fold-1", list(PART))
    outside = F.when(F.col("era") > max(PART), 0.0).otherwise(F.col("target")).cast("float")
    changed = replace(training, table=training.table.withColumn("target", outside))

    again = searching(changed, tmp_path, load([], [*SETTINGS, "search.trials=1"]))

    def never(*_: object) -> float:
        raise AssertionError

    with monkeypatch.context() as patched:
        patched.setattr(Searching, "_best", never)
        assert again.settings("ridge", "fold-9", list(PART)) == best
    assert again.folder.searches == dict.fromkeys(("fold-1", "fold-9"), run.folder.searches["fold-1"])
    other = searching(training, tmp_path, load([], [*SETTINGS, "search.trials=2"]))
    other.settings("ridge", "fold-1", list(PART))
    assert other.folder.searches["fold-1"] != run.folder.searches["fold-9"]
