"""Invented eras in which it is known what features are worth, and models of folds over them; no Spark."""

from __future__ import annotations

from dataclasses import dataclass

import lightgbm
import numpy as np
import pandas as pd
import pyarrow as pa

from eraflow.batches import lists
from eraflow.config.explain import ExpectedSign
from eraflow.explain import eras as passes
from eraflow.explain import permutation, summary
from eraflow.explain.additive import Additive
from eraflow.explain.dependence import dependence, pair_dependence
from eraflow.explain.eras import Measures
from eraflow.explain.interactions import interactions
from eraflow.explain.rows import contributions, why
from eraflow.explain.splits import splits
from eraflow.models.fitted import Fitted
from eraflow.models.levels import Eras, Levels, Vector
from eraflow.models.member import Member
from eraflow.models.sample import Sample
from eraflow.models.trees import LightGbmTrees
from eraflow.reporting.explained_frames import Explained
from eraflow.scoring import METRICS, EraRows, score_era

MISSING = -1
NAMES = ("linear", "one", "two", "faded", *(f"noise_{place}" for place in range(6)))
NOISE = NAMES[4:]
ERAS, ROWS, FOLDS = 120, 80, 3
PERIOD = 20  # eras of a fold; those before are learned


@dataclass(frozen=True)
class Planted:
    """`linear` pays in every era, the product of `one` and `two` too, `faded` in those that the folds learn only."""

    levels: Levels
    eras: Eras
    target: Vector

    @classmethod
    def of(cls, seed: int) -> Planted:
        draw = np.random.default_rng(seed)
        levels = draw.integers(0, 5, (ERAS * ROWS, len(NAMES))).astype(np.int8)
        eras = np.repeat(np.arange(1, ERAS + 1), ROWS)
        x = levels - 2.0
        worth = 0.25 * x[:, 0] + 0.3 * x[:, 1] * x[:, 2] + np.where(eras <= ERAS - FOLDS * PERIOD, 0.3 * x[:, 3], 0.0)
        value = worth + draw.normal(size=len(eras))
        ranks = pd.Series(value).groupby(eras).rank(pct=True).to_numpy()
        levels[draw.random(levels.shape) < 0.03] = MISSING
        return cls(levels, eras, np.minimum(np.floor(ranks * 5), 4) / 4)

    def rows(self, first: int, last: int) -> Sample:
        kept = (self.eras >= first) & (self.eras <= last)
        return Sample(self.levels[kept], self.eras[kept], self.target[kept])

    def learned(self, fold: int) -> Sample:
        """What folds have in common: the eras before all of them."""
        return self.rows(1, ERAS - FOLDS * PERIOD)

    def validated(self, fold: int) -> Sample:
        first = ERAS - (FOLDS - fold + 1) * PERIOD + 1
        return self.rows(first, first + PERIOD - 1)

    def booster(self, fold: int, seed: int = 1, trees: int = 60) -> LightGbmTrees:
        learned = self.learned(fold)
        settings = {"verbosity": -1, "num_threads": 1, "num_leaves": 15, "learning_rate": 0.1, "max_bin": 7,
                "min_data_in_leaf": 20, "seed": seed * 100 + fold, "feature_fraction": 0.5}  # fmt: skip
        values = np.where(learned.levels == MISSING, np.nan, learned.levels.astype(float))
        return LightGbmTrees(
            lightgbm.train(settings, lightgbm.Dataset(values, learned.target), trees).model_to_string()
        )

    def model(self, fold: int) -> Additive:
        validated = self.validated(fold)
        fitted = Fitted(NAMES, MISSING, (Member("target", 1, (), self.booster(fold)),))
        return Additive.of(fitted, validated.levels, validated.eras)


def measures(model: Additive, rows: Sample, groups: dict[str, tuple[str, ...]] | None = None) -> Measures:
    """What a pass measures, era by era."""
    held = groups or {}
    members = passes.members_of(model.names, held)
    numbers = np.unique(rows.eras)
    found = [
        passes.of_era(model, members, rows.levels[in_era], rows.eras[in_era], rows.target[in_era])
        for in_era in (rows.eras == era for era in numbers)
    ]
    size, direction, earned, grouped, error, fidelity = (
        np.stack([one[kind] for one in found]) for kind in passes.STATISTICS
    )
    return Measures(model.names, tuple(held), numbers, size, direction, earned, grouped, error, fidelity[:, 0])


def losses(model: Additive, rows: Sample, units: permutation.Units, seed: int) -> pd.DataFrame:
    """`model, unit, era, metric, loss` of numerai_corr, by the lines of the workers and the metric of one era."""
    ids = pa.array([f"i{place}" for place in range(len(rows.eras))])
    columns = [ids, pa.array(rows.eras, pa.int32()), lists(rows.levels), pa.array(rows.target)]
    batch = pa.record_batch(columns, ["id", "era", "features", "target"])
    work = permutation.worker({"m": model}, {"m": units}, seed)
    made = pa.Table.from_batches(list(work([batch]))).to_pandas()
    rows_of = []
    for era, group in made.groupby("era"):
        wide = group.pivot(index="id", columns="model", values="prediction")
        target = group.drop_duplicates("id").set_index("id")["target"]
        scored = score_era(EraRows(wide, target), {"numerai_corr": METRICS["numerai_corr"]})
        corr = scored.set_index("model")["value"]
        rows_of += [("m", unit, era, "numerai_corr", corr["m:0"] - corr[f"m:{unit + 1}"]) for unit in range(len(units))]
    return pd.DataFrame(rows_of, columns=["model", "unit", "era", "metric", "loss"])


def explained(planted: Planted, name: str = "m") -> Explained:
    """All that a page shows, of three folds; the last fold's model predicts live rows."""
    folds = range(1, FOLDS + 1)
    models, samples = {fold: planted.model(fold) for fold in folds}, {fold: planted.validated(fold) for fold in folds}
    groups = {"planted": NAMES[:4], "noise": NOISE}
    seen = {fold: measures(models[fold], samples[fold], groups) for fold in folds}
    before = {fold: measures(models[fold], planted.learned(fold), groups) for fold in folds}
    importance = summary.importance(seen, before, 1).merge(splits(list(models.values())), on="feature", how="left")
    top = importance["feature"].tolist()
    units = [(0,), (1,), (2,), (3, 4, 5)]
    kinds = {0: ("linear", "feature"), 1: ("one", "feature"), 2: ("two", "feature"), 3: ("some", "group")}
    lost = summary.permutation_importance(losses(models[3], samples[3], units, 1), 1)
    lost = lost.assign(kind=[kinds[unit][1] for unit in lost["unit"]], unit=[kinds[unit][0] for unit in lost["unit"]])
    few = planted.rows(ERAS, ERAS)
    live, sums = why(models[3], [f"row_{place:03}" for place in range(len(few.eras))], few.levels, few.eras, 10)
    return Explained(
        model=name, prose=(f"{name}: exact.",), unit="in its prediction's unit", basis="Rests on 60 eras.",
        importance=importance, groups=summary.group_sizes(seen, 1), permutation=lost,
        by_era=summary.by_era(seen, top), points=contributions(models, samples, top, 150),
        curves=dependence(models, samples, top[:6], NAMES), pair_of=("one", "two"),
        pair=pair_dependence(models, samples, ("one", "two"), NAMES), pairs=interactions(models, samples, NAMES),
        verdicts=summary.verdicts(importance, {"linear": ExpectedSign(sign=1, why="planted so")}),
        live=live, live_sums=sums,
    )  # fmt: skip
