"""What is known of a round beside its rows: how its file goes with others, what Numerai found, the learned graph."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from pyspark.sql import SparkSession

from eraflow.errors import InputError
from eraflow.graphs.described import shapes
from eraflow.monitoring.records import Sent
from eraflow.pipeline.finished import settings_of
from eraflow.rounds.calendar import Round
from eraflow.rounds.ledger import Ledger
from eraflow.rounds.live import LIVE, LiveFiles
from eraflow.rounds.predicted import Predicted
from eraflow.tables import Store

SERVER = (("prevWeekChurnMax", "server_churn"), ("prevWeekTurnoverMax", "server_turnover"))
COMMON = 0.5  # of the ids, for a comparison


def others(books: Path, sent: Sent, predicted: Predicted, before: Predicted | None) -> dict[str, float]:
    """By `statistic` or `statistic:subject`; `books` is the folder of the ledger, `before` the round before."""
    return {
        **of_books(Ledger(books), sent),
        **_alike(books, sent, predicted),
        **_moved(sent, predicted, before),
    }


def graphs(spark: SparkSession, runs: Path, run: str) -> dict[int, dict[str, float]]:
    """By era mean degree and share of kept edges of the learned graphs over tickers, of the table as it is now.

    Empty where the run has learned none.
    """
    manifest, trained = settings_of(runs, run, "submit.slots: run")
    made = manifest["tables"].get("graph_edges")
    store = Store(spark, trained.tables.root, trained.tables.wait)
    version = store.latest(f"graph_edges/{made['recipe']}") if made else None
    if version is None:
        return {}
    rows = shapes(store.read(version)).to_dict(orient="records")
    return {int(row["era"]): {"graph_degree": float(row["degree"]), "graph_kept": float(row["kept"])} for row in rows}


def of_books(ledger: Ledger, sent: Sent) -> dict[str, float]:
    """The covered share of the universe, and Numerai's own churn and turnover."""
    found: dict[str, float] = {}
    for line in ledger.of(sent.tournament, sent.slot, sent.round) if sent.round is not None else []:
        if "coverage" in line:
            found["coverage"] = float(line["coverage"])
        says = line.get("server") or {}
        found |= {statistic: float(says[key]) for key, statistic in SERVER if says.get(key) is not None}
    return found


def _alike(books: Path, sent: Sent, predicted: Predicted) -> dict[str, float]:
    """Rank correlations with the others' predictions of the same rows, as long as the round's live files are there."""
    folder = books / "live" / f"{sent.tournament}-{sent.round}"
    if sent.round is None or not (folder / LIVE).exists():
        return {}
    opened = pd.Timestamp(sent.date, tz="UTC").to_pydatetime()
    live = LiveFiles(Round(sent.tournament, sent.round, opened, opened, None, ()), "", folder)
    mine = _values(predicted, sent.prediction)
    found = {}
    for name, values in live.others.items():
        common = values[~values.index.duplicated()].reindex(mine.index)
        if common.notna().mean() >= COMMON:
            found[f"rank_correlation:{name}"] = float(mine.corr(common, method="spearman"))
    return found


def _moved(sent: Sent, predicted: Predicted, before: Predicted | None) -> dict[str, float]:
    """How far the ranks have moved since the round before; nothing of Classic, whose ids are new each round."""
    if before is None or sent.prediction not in before.manifest["predictions"]:
        return {}
    try:
        earlier = _values(before, sent.prediction)
    except InputError:  # an odd round costs only itself
        return {}
    mine = _values(predicted, sent.prediction)
    common = earlier.reindex(mine.index)
    if common.notna().mean() < COMMON:
        return {}
    return {"churn": 1 - float(mine.corr(common, method="spearman"))}


def _values(predicted: Predicted, prediction: str) -> pd.Series[float]:
    frame = predicted.frame(prediction)
    return pd.Series(frame.iloc[:, 1].to_numpy(dtype="float64"), index=pd.Index(frame.iloc[:, 0].astype(str)))
