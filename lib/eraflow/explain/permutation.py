"""What a metric loses where features are permuted among the rows of an era: of what is submitted, blended and all.

A unit is one feature or several, whose levels move together from row to row, so that within the unit nothing is torn
apart. Everything else stays, the model too. What depends on features in common is worth something in both: a unit that
loses nothing may have a twin (Breiman 2001; Strobl et al. 2008 on what correlation does to it), which is why groups and
clusters of features that go together are units as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame

from eraflow import scoring
from eraflow.batches import groups
from eraflow.explain.additive import Additive
from eraflow.models.levels import matrix
from eraflow.scoring import References
from eraflow.session import slots

SCHEMA = "id string, era int, fold int, model string, prediction double, target double"
AS_IT_IS = 0  # the number of predictions of which nothing was permuted

Units = Sequence[Sequence[int]]  # places of features


def permuted(rows: DataFrame, models: Mapping[str, Additive], units: Mapping[str, Units], seed: int) -> DataFrame:
    """Predictions of whole eras of `id, era, features, target`: of each model as it is, and of each of its units.

    They are called MODEL:NUMBER, 0 as it is, else one more than the place of the unit.
    """
    tasks = 2 * slots(rows.sparkSession)
    ordered = rows.select("id", "era", "features", "target").repartition(tasks, "era")
    return ordered.sortWithinPartitions("era", "id").mapInArrow(worker(models, units, seed), SCHEMA)


def losses(predictions: DataFrame, references: References, metrics: Sequence[str]) -> pd.DataFrame:
    """`model, unit, era, metric, loss`: what each metric of an era loses, NaN where it has none; `unit` is a place."""
    scored = scoring.collected(scoring.score_eras(predictions, references, metrics=metrics))
    named = scored["model"].str.rpartition(":")
    scored = scored.assign(model=named[0], unit=named[2].astype(int)).drop(columns=["fold", "detail"])
    whole = scored[scored["unit"] == AS_IT_IS].drop(columns="unit")
    both = scored[scored["unit"] != AS_IT_IS].merge(whole, on=["model", "era", "metric"], suffixes=("", "_whole"))
    both = both.assign(loss=both["value_whole"] - both["value"], unit=both["unit"] - 1)
    return both.sort_values(["model", "metric", "unit", "era"], ignore_index=True)[
        ["model", "unit", "era", "metric", "loss"]
    ]


def worker(
    models: Mapping[str, Additive], units: Mapping[str, Units], seed: int
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """What a worker makes of batches of whole eras: see `permuted`."""
    names = [part.split()[0] for part in SCHEMA.split(", ")]

    def make(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows in groups(batches, "era"):
            features = rows.column("features")
            levels = matrix(features, len(features[0]))
            eras = rows.column("era").to_numpy(zero_copy_only=False).astype(np.int64)
            target = rows.column("target").cast(pa.float64())
            count, fold = len(eras), pa.array(np.zeros(len(eras), dtype=np.int32))
            for name, model in models.items():
                for number, places in enumerate(((), *units[name])):
                    changed, held = levels, list(places)
                    if held:
                        order = np.random.default_rng([seed, int(eras[0]), number]).permutation(count)
                        changed = levels.copy()
                        changed[:, held] = levels[order][:, held]
                    values = pa.array(model.predictions(changed, eras))
                    called = pa.array([f"{name}:{number}"]).take(pa.array(np.zeros(count, dtype=np.int32)))
                    yield pa.record_batch([rows.column("id"), rows.column("era"), fold, called, values, target], names)

    return make
