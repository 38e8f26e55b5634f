"""A whole round for a newcomer, Classic and Signals: invented data, runs, a stand-in for Numerai's server, books."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from eraflow.config import Config, load
from eraflow.outcome import Outcome
from eraflow.pipeline.live_round import live_round
from eraflow.pipeline.train import train
from eraflow.progress import Progress
from eraflow.rounds.api import CLASSIC, SIGNALS
from eraflow.rounds.ledger import Ledger
from eraflow.rounds.live import BENCHMARKS, EXAMPLES, FEATURES, LIVE
from eraflow.rounds.standin import StandIn, served
from eraflow.rounds.standin.state import NUMBERS
from eraflow.sources import classic_synthetic

CONF = "round-demo.yml"
NUMBER = 1100
OUTSIDE = 30  # names of the invented universe that have no prices


def demo(start: Callable[[], SparkSession], config: Config, progress: Progress) -> Outcome:
    """Trains a run for each tournament unless that was done, opens a round at a stand-in, plays it twice.

    Returns the outcome of the first call, with what the books and the server hold after the second.
    """
    started = cache(start)  # one Spark for all of it
    base, runs = Path(config.tables.root).parent, Path(config.run.dir)
    files = base / "numerai"
    if not (files / FEATURES).exists():
        progress.stage("inventing Classic's files")
        classic_synthetic.write(config.classic_synthetic, files)
    _trained(
        started, progress, CLASSIC, config, "source=classic", f"classic.path={files}", "targets.main=target_ender_20"
    )
    _trained(started, progress, SIGNALS, config, "source=synthetic")
    state = StandIn()
    with served(state):
        names = _open(state, config, files, runs, base)
        at_stand_in = config.model_copy(update={"submit": config.submit.model_copy(update={"api": state.address})})
        progress.note(f"a stand-in for Numerai's server serves {', '.join(state.files)} at {state.address}")
        first = live_round(started, at_stand_in, progress, send=True)
        again = live_round(started, at_stand_in, progress, send=True)
    said = ["The first call:", *first.lines, "", f"The same call again (exit code {int(again.code)}):", *again.lines]
    return Outcome(first.code, (*said, "", *_books(Ledger(Path(config.submit.dir))), "", *_held(state, names)))


def _trained(start: Callable[[], SparkSession], progress: Progress, name: str, config: Config, *settings: str) -> None:
    """A small run of a tournament; a finished one does nothing."""
    if (Path(config.run.dir) / name / "run.json").exists():
        return
    places = [f"run.dir={config.run.dir}", f"tables.root={config.tables.root}/{name}", "classic.dataset=null"]
    train(start(), load([CONF], [f"run.name={name}", *places, *settings]), progress)


def _open(state: StandIn, config: Config, classic: Path, runs: Path, base: Path) -> dict[str, str]:
    """Opens a round of each tournament on the run's newest rows; the models' ids by the slots' names."""
    live = pd.read_parquet(runs / SIGNALS / "models/lightgbm/final/live.parquet")
    named = [str(each).rpartition("_") for each in live["id"]]
    tickers, data_date = [ticker for ticker, _, _ in named], named[0][2]
    served_files = {f"v5.3/{name}": classic / name for name in (FEATURES, LIVE, EXAMPLES, BENCHMARKS)}
    served_files[f"signals/v2.1/{LIVE}"] = _signals_live(sorted(tickers), data_date, base / "signals")
    state.files |= served_files
    opens = state.now() - timedelta(minutes=10)
    ids = {
        CLASSIC: frozenset(pq.read_table(classic / LIVE, columns=["id"]).column("id").to_pylist()),
        SIGNALS: frozenset(tickers),
    }
    models = {}
    for tournament, slot in zip((CLASSIC, SIGNALS), config.submit.slots, strict=True):
        stamp = data_date if tournament == SIGNALS else None
        state.add_round(tournament, NUMBER, opens, opens + timedelta(hours=1), stamp)
        state.universes[NUMBERS[tournament], NUMBER] = ids[tournament]
        models[slot] = state.add_model(tournament, slot)
    return models


def _signals_live(tickers: Sequence[str], data_date: str, folder: Path) -> Path:
    """A live file of Signals: the names with prices and some others, and two factors."""
    names = [*tickers, *(f"X{place:03}" for place in range(OUTSIDE))]
    draw = np.random.default_rng(1).normal(size=(2, len(names)))
    folder.mkdir(parents=True, exist_ok=True)
    columns = {"numerai_ticker": [f"{name} US" for name in names], "ticker": names, "date": data_date}
    factors = {"feature_value_factor": draw[0], "feature_momentum_12w_factor": draw[1]}
    pd.DataFrame({**columns, **factors}).to_parquet(folder / LIVE, index=False)
    return folder / LIVE


def _books(ledger: Ledger) -> list[str]:
    lines = [f"The books, {ledger.path}:"]
    for line in ledger.lines():
        entry = {key: line[key] for key in ("round", "slot", "event", "origin", "submission") if key in line}
        lines.append("  " + json.dumps(entry))
    return lines


def _held(state: StandIn, models: dict[str, str]) -> list[str]:
    lines = ["What the server holds:"]
    for slot, model in models.items():
        for one in state.of_model(model):
            size = len(one["content"] or b"")
            lines.append(
                f"  {slot}: round {one['round']['number']}, {one['filename']}, {size:,} bytes, {one['status']}"
            )
    return lines
