"""The scores of a slot against the validation eras of its run: the stream, its charts, and the status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from eraflow.config import Config
from eraflow.config.submit import Slot
from eraflow.errors import InputError
from eraflow.monitoring import records
from eraflow.monitoring.champions import PREFIX, Champion
from eraflow.monitoring.status import Status
from eraflow.monitoring.streams import Kind, Limits, judged, paths
from eraflow.pipeline.finished import finished, settings_of
from eraflow.pipeline.recipes import recipe_hash
from eraflow.rounds.ledger import Event, Ledger
from eraflow.rounds.predicted import Predicted

UNRESOLVED = "no score of its rounds is resolved yet"
COLUMNS = ["score", "round", "date", "value", "rolling", "cusum", "drawdown"]
OFTEN = 0.6  # of the rounds: with fewer it is told


@dataclass(frozen=True)
class Charted:
    """`frame` has `score, round, date, value, rolling, cusum, drawdown`, of which the charts are NaN where unjudged."""

    status: Status = field(default_factory=lambda: Status("ok"))
    frame: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=COLUMNS))
    limits: Mapping[str, float] = field(default_factory=dict)  # by chart
    notes: tuple[str, ...] = ()


def charted(runs: Path, config: Config, slot: Slot, rows: pd.DataFrame, newest: Predicted, books: Ledger) -> Charted:
    """The charts of all scores in `rows` (of `monitor_scores`, one slot); by one of them the slot is judged.

    Rounds that another recipe has predicted are left out, and those before the refit that an alarm called for: the
    stream begins with the recipe that the slot has now, and anew once an alarm is answered.
    """
    played = _of_recipe(runs, slot, rows, newest, books)
    recent, notes = _since_alarm(runs, config, played, newest, books)
    found = _charted(runs, config, slot, recent, newest) if len(recent) else Charted(notes=(UNRESOLVED,))
    return replace(found, notes=(*found.notes, *notes))


def _charted(runs: Path, config: Config, slot: Slot, recent: pd.DataFrame, newest: Predicted) -> Charted:
    """The charts of all scores of these rows."""
    run = finished(runs, slot.run)
    model = f"{slot.run}/{newest.name(slot.prediction)}"
    mine = run.per_era[run.per_era["model"] == model]
    names = sorted(map(str, recent["score"].unique()))
    horizon = records.horizon_of(run.target, run.overlap)
    chosen = records.judged_score(names, set(mine["metric"].dropna()), horizon)
    parts, found = [], Charted()
    for name in names:
        stream = records.stream(recent[recent["score"] == name]).assign(score=name)
        if name == chosen:
            eras = mine[mine["metric"] == records.metric_of(name)].sort_values("era")["value"].dropna().to_numpy()
            found, stream = _judged(config, stream, eras, run.overlap, records.kind_of(name, horizon))
        parts.append(stream)
    frame = pd.concat(parts, ignore_index=True).reindex(columns=COLUMNS)
    unjudged = f"none of its scores ({', '.join(names)}) is told by validation eras of a target of {horizon} days"
    notes = found.notes if chosen else (unjudged,)
    return Charted(found.status, frame, found.limits, notes)


def _judged(
    config: Config, stream: pd.DataFrame, eras: np.ndarray[Any, Any], weeks: int, kind: Kind
) -> tuple[Charted, pd.DataFrame]:
    """The status of a stream, and its rows with the three charts."""
    settings = config.monitor
    held = settings.limits(kind.overlap, kind.weekly, len(eras) / weeks)
    if held is None:
        labels = len(eras) / weeks
        why = f"monitor.charts has no limits for an overlap of {kind.overlap} rounds and {labels:.0f} validation labels"
        return Charted(notes=(f"{why}; make bench-monitor finds some",)), stream
    try:
        found = paths(stream["value"].to_numpy(dtype=np.float64), eras, kind)
    except InputError as error:
        return Charted(notes=(str(error),)), stream
    limits = Limits(held.rolling, held.cusum, held.drawdown)
    status = judged(found, limits, str(stream["score"].iloc[0]))
    return Charted(status, limits=dict(vars(limits)), notes=_seldom(stream)), stream.assign(**found.named)


def _seldom(stream: pd.DataFrame) -> tuple[str, ...]:
    """What is told of a slot that plays few rounds."""
    scored, every = int(stream["value"].notna().sum()), len(stream)
    if scored >= OFTEN * every:
        return ()
    return (f"{scored:,} of {every:,} rounds have a score; each stands for those after it that share a label with it",)


def _of_recipe(runs: Path, slot: Slot, rows: pd.DataFrame, newest: Predicted, books: Ledger) -> pd.DataFrame:
    """The rows since the slot has the recipe that it has now, whatever runs were refitted by it."""
    origin = _origins(rows, newest, books)
    now = _recipe(runs, f"{slot.run}/{newest.name(slot.prediction)}")
    recipes = {one: _recipe(runs, one) for one in set(origin.values())}  # few runs fill many rounds
    others = [number for number, one in origin.items() if recipes[one] != now]
    return rows[rows["round"] > max(others)] if others else rows


def _since_alarm(
    runs: Path, config: Config, rows: pd.DataFrame, newest: Predicted, books: Ledger
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The rows since the champion that fills the slot was refitted on an alarm, and what is told of that.

    Scores of before have alarmed, and would go on to do so for months after the model is mended.
    """
    named = config.submit.slots.get(str(rows["slot"].iloc[0])) if len(rows) else None
    if named is None or not named.run.startswith(PREFIX):
        return rows, ()
    since = Champion.of(runs, named.run.removeprefix(PREFIX)).since_alarm
    if not since:
        return rows, ()
    sent = [number for number, one in _origins(rows, newest, books).items() if one.partition("/")[0] in since]
    begun = f"its charts begin with {since[0]}, which an alarm called for"
    if not sent:
        return rows[:0], (f"{begun}; none of its rounds is in the books yet",)
    return rows[rows["round"] >= min(sent)], (f"{begun}, in round {min(sent)}",)


def _origins(rows: pd.DataFrame, newest: Predicted, books: Ledger) -> dict[int, str]:
    """By round what was sent of the slot whose rows these are: RUN/PREDICTION."""
    sent = books.of(newest.tournament, str(rows["slot"].iloc[0])) if len(rows) else []
    return {int(line["round"]): str(line["origin"]) for line in sent if line["event"] == Event.EFFECTIVE}


def _recipe(runs: Path, origin: str) -> object:
    """What a prediction is made by: itself, and its run's settings as a hash; the origin where the run is gone."""
    run, _, prediction = origin.partition("/")
    try:
        return prediction, recipe_hash(settings_of(runs, run, "submit.slots: run")[1])
    except InputError:
        return origin
