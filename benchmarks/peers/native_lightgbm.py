"""The training benchmark by native LightGBM alone, from the round's wide parquet file; prints its times as JSON.

`frame` is how example scripts do it: pandas reads the columns, and a Dataset is made of them. `sequence` keeps them as
int8 in memory and hands LightGBM some rows at a time.
Arguments: train.parquet, the model.json that eraflow has saved, trees, repetitions, `frame` or `sequence`, the output.
"""

import gc
import json
import sys
import time

import lightgbm as lgb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

# Each of them would be drawn from `seed`; eraflow sets them outright.
SEEDS = ("feature_fraction_seed", "bagging_seed", "data_random_seed")
PARAMETERS = {"objective": "regression", "learning_rate": 0.01, "max_depth": 5, "num_leaves": 31, "max_bin": 7,
              "feature_fraction": 0.1, "min_data_in_leaf": 20, "num_threads": 2, "seed": 1, "verbosity": -1,
              "force_col_wise": True, "deterministic": True, **dict.fromkeys(SEEDS, 1)}  # fmt: skip


class Rows(lgb.Sequence):
    """An int8 matrix, features x rows, as LightGBM asks for it: some rows as floats at a time; -1 is missing."""

    batch_size = 4096

    def __init__(self, levels: np.ndarray) -> None:
        self.levels = levels

    def __len__(self) -> int:
        return int(self.levels.shape[1])

    def __getitem__(self, at: int | slice | list[int]) -> np.ndarray:
        found = self.levels[:, at].T.astype(np.float64)
        found[found < 0] = np.nan
        return found


def read_frame(path: str, features: list[str], target: str) -> tuple[pd.DataFrame, pd.Series]:
    frame = pd.read_parquet(path, columns=["era", target, *features]).dropna(subset=target)
    return frame[features], frame[target]


def read_levels(path: str, features: list[str], target: str) -> tuple[np.ndarray, np.ndarray]:
    file = pq.ParquetFile(path)
    levels = np.empty((len(features), file.metadata.num_rows), dtype=np.int8)
    begin, values = 0, []
    for group in range(file.num_row_groups):
        rows = file.read_row_group(group, columns=[target, *features])
        values.append(rows.column(target).to_numpy())
        for place, name in enumerate(features):
            column = rows.column(name).fill_null(-1)
            levels[place, begin : begin + rows.num_rows] = column.to_numpy()
        begin += rows.num_rows
    return levels, np.concatenate(values)


def main(path: str, saved: str, trees: str, runs: str, way: str, out: str) -> None:
    with open(saved) as text:
        model = json.load(text)
    # In the order in which eraflow packs them: a share of the features is drawn by their places.
    features, name = model["feature_names"], model["target"]
    seconds = []
    for _ in range(int(runs)):
        started = time.monotonic()
        if way == "frame":
            data, target = read_frame(path, features, name)
            dataset = lgb.Dataset(data, label=target, params=PARAMETERS, free_raw_data=False)
        else:
            data, target = read_levels(path, features, name)
            dataset = lgb.Dataset(Rows(data), label=target, params=PARAMETERS, feature_name=features)
        dataset.construct()
        loaded = time.monotonic()
        booster = lgb.train(PARAMETERS, dataset, num_boost_round=int(trees))
        trained = time.monotonic()
        if way == "frame":
            predictions = booster.predict(data)
        else:
            rows = Rows(data)
            parts = [booster.predict(rows[at : at + 50_000]) for at in range(0, len(rows), 50_000)]
            predictions = np.concatenate(parts)
        predicted = time.monotonic()
        seconds.append({"load": loaded - started, "trees": trained - loaded, "predict": predicted - trained})
        print(seconds[-1], flush=True)
        del data, dataset
        gc.collect()
    ids = pd.read_parquet(path, columns=["id", name]).dropna(subset=name)["id"].to_numpy()
    pd.DataFrame({"id": ids, "prediction": predictions}).to_parquet(out)
    print(json.dumps({"runs": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
