"""What a learned network adds on the real prices: momentum alone, network momentum alone, both; and what its edges are.

    make bench-network-ablation

The same folds, model and target for all three. Differences are paired by era; intervals allow for overlapping labels.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

sys.path.insert(0, str(Path(__file__).parent))
from _measure import real_prices

from eraflow import registry
from eraflow.config import Config, load
from eraflow.graphs.assets import NAMES, NETWORK
from eraflow.pipeline import signals
from eraflow.pipeline.dataset import Dataset
from eraflow.pipeline.train import splitter
from eraflow.progress import shown
from eraflow.scoring import mean_interval, score_eras
from eraflow.session import session
from eraflow.tables import Store

ROOT = Path(__file__).parents[1]
WORK = ROOT / "var/benchmarks/network-ablation"
NETS = tuple(name for feature in NETWORK for name in feature.outputs())
CASES = {"momentum": NAMES, "network": NETS, "both": (*NAMES, *NETS)}
METRIC = "numerai_corr"
SHUFFLES = 200  # of the sectors among the nodes: what chance gives


def main() -> int:
    prices = real_prices()
    settings = [f"prices.path={prices}", f"tables.root={WORK / 'tables'}", "features.set=momentum"]
    settings += ["validation.period=null", "validation.folds=6"]  # as RESULTS.md has them
    config = load(["signals.yml"], [*settings, "network.relearn=weekly", *sys.argv[1:]])
    spark = session("bench-network-ablation")
    store = Store(spark, config.tables.root)
    with shown() as progress:
        data = signals.dataset(store, config, progress)
    values = {name: era_scores(config, data, name) for name in CASES}
    rows = [scored(name, values[name], data.eras.overlap) for name in CASES]
    differences = (("network", "momentum"), ("both", "momentum"))
    rows += [scored(f"{a} less {b}", (values[a] - values[b]).dropna(), data.eras.overlap) for a, b in differences]
    tables = {version.name: store.read(version) for version in data.tables}
    found = {"scores": rows, "graph": described(tables["graphs"], tables["graph_edges"], tables["prices"])}
    WORK.with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n")
    print(pd.DataFrame(rows).to_string(index=False))
    print(json.dumps(found["graph"], indent=2))
    spark.stop()
    return 0


def era_scores(config: Config, data: Dataset, name: str) -> pd.Series:
    """numerai_corr of every out-of-fold era, of the model on one case's features."""
    training = data.training.narrowed(data.training.taken(CASES[name]))
    model, parts = registry.build(config.models["lightgbm"], training.target, config.run.seed), []
    for fold in splitter(config).split(data.eras.spans):
        rows = training.rows(fold.validation)
        target = rows.select("id", F.col(training.target).alias("target"))
        predicted = model.fit(training, fold.train).predict(rows).join(target, on="id", how="inner")
        path = str(WORK / f"{name}-{fold.number}")
        predicted.withColumns({"model": F.lit(name), "fold": F.lit(fold.number)}).write.mode("overwrite").parquet(path)
        scores = score_eras(training.table.sparkSession.read.parquet(path), metrics=[METRIC])
        parts.append(scores.toPandas())  # a row an era
        print(f"{name}: fold {fold.number}", flush=True)
    found = pd.concat(parts)
    return found[found["metric"] == METRIC].set_index("era")["value"].sort_index()


def scored(name: str, values: pd.Series, overlap: int) -> dict:
    low, high = mean_interval(values.to_numpy(), overlap) or (np.nan, np.nan)
    return {"case": name, "mean": round(values.mean(), 4), "low": round(low, 4), "high": round(high, 4),
            "sharpe": round(values.mean() / values.std(ddof=0), 3), "eras": len(values)}  # fmt: skip


def described(graphs: DataFrame, edges: DataFrame, prices: DataFrame) -> dict:
    """Mean degree by look-back and of the mean graph; same-sector edges, by number and weight, against chance."""
    each = graphs.select(F.explode(F.arrays_zip("look_back", "look_back_edges", "look_back_nodes")).alias("one"))
    degree = F.avg(2 * F.col("one.look_back_edges") / F.col("one.look_back_nodes"))
    by_look_back = each.groupBy("one.look_back").agg(degree).collect()  # a row a look-back
    mean_graph = graphs.select(F.avg(2 * F.size("weight") / F.col("nodes"))).head()[0]
    sectors = prices.groupBy("ticker").agg(F.max_by("sector", "date").alias("sector")).toPandas()
    # All eras' edges between one pair are counted together: at most as many rows as there are pairs.
    pairs = edges.groupBy("source", "target").agg(F.count("*").alias("n"), F.sum("weight").alias("weight")).toPandas()
    sectors = sectors[sectors["ticker"].isin({*pairs["source"], *pairs["target"]})]  # the nodes
    tickers = pd.Index(sectors["ticker"])
    label = sectors["sector"].astype("category").cat.codes.to_numpy()
    one, other = tickers.get_indexer(pairs["source"]), tickers.get_indexer(pairs["target"])
    counts, weights = pairs["n"].to_numpy(float), pairs["weight"].to_numpy(float)

    def share(labels: np.ndarray, of: np.ndarray) -> float:
        return float(of[labels[one] == labels[other]].sum() / of.sum())

    random = np.random.default_rng(0)
    chance = [share(random.permutation(label), counts) for _ in range(SHUFFLES)]
    return {"mean_degree_by_look_back": {str(k): round(v, 2) for k, v in sorted(map(tuple, by_look_back))},
            "mean_degree": round(mean_graph, 2), "same_sector": round(share(label, counts), 3),
            "same_sector_by_weight": round(share(label, weights), 3), "chance": round(float(np.mean(chance)), 3),
            "chance_95": [round(float(q), 3) for q in np.quantile(chance, [0.025, 0.975])],
            "overlap_between_weeks": round(stability(edges), 3)}  # fmt: skip


def stability(edges: DataFrame) -> float:
    """Mean share of an era's edges that the next era has as well."""
    later = edges.select((F.col("era") - 1).alias("era"), "source", "target")
    kept = edges.join(later, on=["era", "source", "target"], how="left_semi").count()
    last = edges.agg(F.max("era")).head()[0]
    return kept / edges.where(F.col("era") < last).count()


if __name__ == "__main__":
    raise SystemExit(main())
