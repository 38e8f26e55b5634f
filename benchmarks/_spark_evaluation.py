"""The process of `make bench-evaluation`: folder of predictions and prices, then the stages to time."""

import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
from _measure import processor_seconds

from eraflow import scoring
from eraflow.cli import leave
from eraflow.config import load
from eraflow.histogram import prediction_histogram
from eraflow.pipeline import outputs
from eraflow.pipeline.content import Content
from eraflow.pipeline.dataset import Eras, Shown
from eraflow.pipeline.scored import Scored
from eraflow.pipeline.scores import ASSET, strategy
from eraflow.scoring.strategy import Holding
from eraflow.search import trials
from eraflow.session import session
from eraflow.spans import spans_from_numbers
from eraflow.validation import WalkForward

LAG, HORIZON = 2, 20


@contextmanager
def timed(stage: str) -> Iterator[None]:
    began, spent = time.monotonic(), processor_seconds()
    yield
    took = {"seconds": time.monotonic() - began, "processor_seconds": processor_seconds() - spent}
    print(stage, json.dumps({key: round(value, 2) for key, value in took.items()}), flush=True)


def main(folder: Path, *stages: str) -> int:
    spark = session()
    spark.range(8).repartition(4).mapInPandas(lambda parts: parts, "id long").count()  # workers are there
    predictions = spark.read.parquet(str(folder / "oof.parquet"))
    prices = spark.read.parquet(str(folder / "prices.parquet"))
    predictions.count()
    if "scores" in stages or "page" in stages:
        with timed("scores"):
            scored = scoring.collected(scoring.score_eras(predictions, asset=ASSET))
            scoring.unscored_eras(predictions)
        scored.sort_values(["model", "era", "fold", "metric"]).to_csv(folder / "scores.csv", index=False)
    if "strategy" in stages or "page" in stages:
        with timed("strategy"):
            viewed = strategy(predictions, prices, Holding(LAG, HORIZON))
        for name in ("performance", "daily", "spreads"):
            getattr(viewed, name).to_csv(folder / f"strategy_{name}.csv", index=False)
    if "page" in stages:
        histogram = prediction_histogram(predictions).toPandas()
        ours = Scored(predictions, scored.drop(columns="detail"), scoring.largest_exposures(scored), viewed)
        print(f"eras without a known target: {ours.unscored}")
        with timed("page"):
            page(folder / "run", ours, histogram)
    return 0


def page(folder: Path, scored: Scored, histogram: pd.DataFrame) -> None:
    """What a run writes at its end, but for what only its own tables tell."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    config = load(["signals.yml"], [])
    eras = sorted(scored.by_fold["era"].unique().tolist())
    dates = {era: date(2000, 1, 7) + timedelta(weeks=era) for era in eras}
    spans = spans_from_numbers(eras, 20, extra=0)
    shown = Shown(pd.DataFrame(columns=["check", "count", "detail"]), (), {})
    data: Any = SimpleNamespace(tables=(), manifest={}, eras=Eras(spans, 4, eras[-1] + 1, dates), shown=lambda: shown)
    folds = WalkForward(6, min_train_eras=len(eras) // 5).split(spans)
    outputs.write(folder, Content(config, data, {"software": {}}, folds, scored, {}, histogram, trials({}), (), 0))


if __name__ == "__main__":
    leave(main(Path(sys.argv[1]), *sys.argv[2:]))
