"""eraflow's side of the training benchmark: tables brought up to date, a fit and its predictions; prints its times.

Arguments: the folder of a round's files, the tables' root, the feature set, the last era to learn from, trees,
repetitions, where predictions go, settings for --set.
The last line of the output is JSON: seconds of session, pack, and for each repetition load, trees and predict.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from synapse.ml.lightgbm import LightGBMRegressor

from eraflow import registry
from eraflow.cli import leave
from eraflow.config import load
from eraflow.models import lightgbm_spark, save
from eraflow.pipeline import classic
from eraflow.progress import shown
from eraflow.session import session
from eraflow.tables import Store

SETTINGS = {"num_leaves": 31, "max_depth": 5, "learning_rate": 0.01, "feature_fraction": 0.1, "bagging_fraction": 1.0,
            "bagging_freq": 0, "min_data_in_leaf": 20}  # fmt: skip


class Timed(LightGBMRegressor):  # type: ignore[misc]
    """Keeps SynapseML's own account of the last fit: milliseconds in which trees were grown."""

    growing = 0.0

    def _fit(self, dataset: Any) -> Any:
        model = super()._fit(dataset)
        measures = self._java_obj.getPerformanceMeasures().get()
        times = measures.getTaskMeasures()
        Timed.growing = max(times.apply(n).trainingIterationsTime() for n in range(times.length())) / 1000
        return model


def main(
    folder: str, tables: str, features: str, last_era: str, trees: str, runs: str, out: str, *settings: str
) -> None:
    started = time.monotonic()
    spark = session("training benchmark")
    seconds: dict[str, Any] = {"session": time.monotonic() - started}
    chosen = {**SETTINGS, "trees": trees}
    config = load(
        ["classic.yml"],
        ["classic.dataset=null", f"classic.path={folder}", f"tables.root={tables}", f"classic.features={features}",
         "run.seed=1", *(f"models.lightgbm.{key}={value}" for key, value in chosen.items()), *settings],
    )  # fmt: skip
    started = time.monotonic()
    with shown() as progress:
        data = classic.dataset(Store(spark, tables), config, progress)
    seconds["pack"] = time.monotonic() - started
    eras = [era for era in data.eras.labelled if era <= int(last_era)]
    seconds["values"] = data.training.labelled(eras).count() * len(data.training.feature_names)
    lightgbm_spark.LightGBMRegressor = Timed  # type: ignore[misc]
    model = registry.build(config.models["lightgbm"], data.training.target, config.run.seed)
    seconds["runs"] = []
    for _ in range(int(runs)):
        started = time.monotonic()
        fitted = model.fit(data.training, eras)
        fit = time.monotonic() - started
        print(f"fit {fit:.1f} s, of these {Timed.growing:.1f} s in trees", flush=True)
        started = time.monotonic()
        fitted.predict(data.training.rows(eras)).write.mode("overwrite").parquet(out)
        predict = time.monotonic() - started
        seconds["runs"].append({"load": fit - Timed.growing, "trees": Timed.growing, "predict": predict})
    save(fitted, Path(out).parent / "model")
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
    leave(0)  # on a cluster the JVM would not end by itself
