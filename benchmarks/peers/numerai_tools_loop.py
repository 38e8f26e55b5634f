"""A plain loop over eras with numerai-tools, in one process: what `make bench-scores` compares with.

Every metric takes all models of an era at once where numerai-tools lets it. Memory holds one fold at a time.
"""

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from numerai_tools import scoring as n


def main(folder: Path, out: Path) -> None:
    started, reading, scores = time.monotonic(), 0.0, []
    models = sorted(path.name.partition("=")[2] for path in (folder / "oof.parquet").glob("model=*"))
    folds = sorted(path.name for path in (folder / f"oof.parquet/model={models[0]}").glob("fold=*"))
    for fold in folds:
        began = time.monotonic()
        frames = {name: pd.read_parquet(folder / f"oof.parquet/model={name}/{fold}/part.parquet") for name in models}
        first = frames[models[0]]
        eras = (int(first["era"].min()), int(first["era"].max()))
        rows = pd.concat({name: part.set_index(["era", "id"])["prediction"] for name, part in frames.items()}, axis=1)
        rows["target"] = first.set_index(["era", "id"])["target"]
        for name in ("meta_model", "benchmarks", "features"):
            part = pd.read_parquet(folder / f"{name}.parquet", filters=[("era", ">=", eras[0]), ("era", "<=", eras[1])])
            rows = rows.join(part.set_index(["era", "id"]))
        reading += time.monotonic() - began
        for era, era_rows in rows.groupby(level="era"):
            scores += [(model, era, metric, value) for metric, values in scored(era_rows.droplevel("era"), models)
                     for model, value in values.items()]  # fmt: skip
    pd.DataFrame(scores, columns=["model", "era", "metric", "value"]).to_csv(out, index=False)
    print(f"{len(scores)} values, {reading:.0f} s of {time.monotonic() - started:.0f} s reading and joining")


def scored(rows: pd.DataFrame, models: list[str]):
    rows = rows.sort_index()
    p, t, meta = rows[models], rows["target"].astype(float), rows["meta_model"]
    target, predictions = n.filter_sort_index(t, p)
    yield "numerai_corr", n.numerai_corr(p, t)
    yield "top_bottom_200_corr", n.numerai_corr(p, t, top_bottom=200)
    yield "spearman", predictions.apply(lambda x: n.spearman_correlation(target, x))
    yield "pearson", predictions.apply(lambda x: n.pearson_correlation(target, x))
    side = np.sign(target - target.median())
    agree = np.sign(predictions - predictions.median())[side != 0].mul(side[side != 0], axis=0)
    yield "hit_rate", (agree.mean() + 1) / 2
    yield "mmc", n.correlation_contribution(p, meta, t)
    yield "cwmm", correlation(p, meta)
    for name in ("b1", "b2"):
        yield f"bmc_{name}", n.correlation_contribution(p, rows[name], t)
        yield f"corr_with_{name}", correlation(p, rows[name])
    features = pd.DataFrame(np.stack(rows["features"].to_numpy()).astype(float), index=rows.index)
    exposures = p.apply(lambda x: features.apply(lambda f: n.pearson_correlation(f, x)))
    yield "max_exposure_own", exposures.abs().max()
    yield "exposure_rms_own", np.sqrt((exposures**2).mean())


def correlation(predictions: pd.DataFrame, other: pd.Series) -> pd.Series:
    other, predictions = n.filter_sort_index(other, predictions)
    return n.tie_kept_rank__gaussianize__pow_1_5(predictions).apply(lambda x: n.pearson_correlation(x, other))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
