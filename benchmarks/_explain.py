"""One side of the benchmark of SHAP values; prints its seconds as JSON.

Arguments: the side, the folder of rows and model, rows, and where the mean |SHAP| of each column goes.
"""

import json
import sys
import time
from pathlib import Path

import lightgbm
import numpy as np
import pyarrow.parquet as pq

AT_ONCE = 10_000  # rows, whose contributions of 780 columns are 62 MB


def levels_of(folder: Path, rows: int) -> np.ndarray:
    first = sorted((folder / "rows").glob("*.parquet"))[0]  # has more rows than peers are given
    column = pq.read_table(first, columns=["features"]).slice(0, rows).column("features").combine_chunks()
    return column.flatten().to_numpy().reshape(rows, -1)


def floats(levels: np.ndarray) -> np.ndarray:
    return np.where(levels < 0, np.nan, levels.astype(np.float64))


def kernel(text: str, levels: np.ndarray):
    from eraflow.shapley.forest import Forest

    forest = Forest.of_lightgbm(text)
    return lambda part: forest.shapley(part, -1)


def native(text: str, levels: np.ndarray):
    booster = lightgbm.Booster(model_str=text)
    return lambda part: booster.predict(floats(part), pred_contrib=True, num_threads=2)[:, :-1]


def shap(text: str, levels: np.ndarray):
    from shap import TreeExplainer

    explainer = TreeExplainer(lightgbm.Booster(model_str=text))
    return lambda part: explainer.shap_values(floats(part))


def woodelf(text: str, levels: np.ndarray):
    import pandas as pd
    from woodelf import WoodelfExplainer

    explainer = WoodelfExplainer(lightgbm.Booster(model_str=text))
    return lambda part: explainer.shap_values(pd.DataFrame(floats(part)))


def spark(folder: Path, text: str, rows: int) -> np.ndarray:
    """The pass of jobs/explain.py: all statistics of every era, in Spark's workers."""
    from eraflow.explain.additive import Additive
    from eraflow.explain.eras import measured
    from eraflow.models.fitted import Fitted
    from eraflow.models.member import Member
    from eraflow.models.trees import LightGbmTrees
    from eraflow.session import session

    few = levels_of(folder, 500)
    names = tuple(f"f{place}" for place in range(few.shape[1]))
    fitted = Fitted(names, -1, (Member("target", 1, (), LightGbmTrees(text)),))
    model = Additive.of(fitted, few, np.ones(len(few), dtype=np.int64))
    found = measured(session().read.parquet(str(folder / "rows")), {"m": model}, {"m": {}})["m"]
    return found.size.mean(axis=0)


def main(side: str, place: str, count: str, out: str) -> None:
    folder, rows = Path(place), int(count)
    text = (folder / "model.txt").read_text()
    started = time.monotonic()
    if side == "spark":
        sizes = spark(folder, text, rows)
    else:
        levels, total = levels_of(folder, rows), 0.0
        explain = globals()[side](text, levels)
        for begin in range(0, rows, AT_ONCE):
            total = total + np.abs(explain(levels[begin : begin + AT_ONCE])).sum(axis=0)
        sizes = total / rows
    np.save(out, sizes)
    print(json.dumps({"seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main(*sys.argv[1:])
