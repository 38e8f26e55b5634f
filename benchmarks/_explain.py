"""One side of the benchmark of SHAP values; prints its seconds as JSON.

Arguments: the side, the folder of rows and model, rows, and where the mean |SHAP| of each column goes.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import lightgbm
import numpy as np
import pyarrow.parquet as pq

AT_ONCE = 10_000  # rows, whose contributions of 780 columns are 62 MB


def parts_of(folder: Path, rows: int) -> Iterator[np.ndarray]:
    """So many rows, AT_ONCE at a time: no side holds more of them."""
    for file in sorted((folder / "rows").glob("*.parquet")):
        for batch in pq.ParquetFile(file).iter_batches(AT_ONCE, columns=["features"]):
            levels = batch.column("features").flatten().to_numpy().reshape(len(batch), -1)[:rows]
            yield levels
            rows -= len(levels)
            if not rows:
                return


def floats(levels: np.ndarray) -> np.ndarray:
    return np.where(levels < 0, np.nan, levels.astype(np.float64))


def kernel(text: str):
    from eraflow.shapley.forest import Forest

    forest = Forest.of_lightgbm(text)
    return lambda part: forest.shapley(part, -1)


def native(text: str):
    booster = lightgbm.Booster(model_str=text)
    return lambda part: booster.predict(floats(part), pred_contrib=True, num_threads=2)[:, :-1]


def shap(text: str):
    from shap import TreeExplainer

    explainer = TreeExplainer(lightgbm.Booster(model_str=text))
    return lambda part: explainer.shap_values(floats(part))


def woodelf(text: str):
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

    few = next(parts_of(folder, 500))
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
        explain, total = globals()[side](text), 0.0
        for levels in parts_of(folder, rows):
            total = total + np.abs(explain(levels)).sum(axis=0)
        sizes = total / rows
    np.save(out, sizes)
    print(json.dumps({"seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main(*sys.argv[1:])
