"""What a round asks before it is sent: whether its rows are like the eras that the run was validated on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from eraflow.causes import first_line, refusal
from eraflow.config import Config
from eraflow.config.monitor import Monitor
from eraflow.errors import InputError
from eraflow.locks import locked
from eraflow.monitoring import drift, profile
from eraflow.monitoring.drift import Reference
from eraflow.monitoring.eras import profiles
from eraflow.monitoring.gate import status_of_rows
from eraflow.monitoring.status import Status
from eraflow.pipeline import classic_steps
from eraflow.pipeline.finished import settings_of
from eraflow.pipeline.repeated import tables_read
from eraflow.pipeline.steps import Versions
from eraflow.predictions import of_eras
from eraflow.progress import Progress
from eraflow.rounds.predicted import Predicted
from eraflow.session import local_path
from eraflow.tables import Store
from eraflow.whole_files import write_json

FOLDER = NAME = "monitor"  # below a run, and below submit.dir; of the page and the JSON
REFERENCE = "reference.npz"
FEW = 25  # validated eras that are looked at where a round waits to be sent


@dataclass(frozen=True)
class Watched:
    """What the monitor says of predictions that are about to be sent, and the lines that a user reads."""

    status: Status
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Watch:
    """Holds predicted rows to a run's validated eras. Without `start` nothing is looked up that needs Spark."""

    config: Config
    progress: Progress
    start: Callable[[], SparkSession] | None = None

    def __call__(self, slot: str, predicted: Predicted) -> Watched:
        """The status of the rows of a round's folder; of the slot's scores what `jobs/monitor.py` has said last.

        Whatever cannot be looked at is told, and blocks nothing.
        """
        try:
            live = profile.read(predicted.folder)
            if live is None:
                return _unknown(f"{predicted.folder} was predicted without a profile of its rows")
            held = self._reference(predicted.run)
            if held is None:
                return _unknown(f"the validated eras of {predicted.run} are not looked at yet; say jobs/monitor.py")
            found = status_of_rows(held, live, **rules(self.config.monitor))
        except InputError as error:
            return _unknown(str(error))
        except Exception as error:  # a monitor that fails must not keep a round from being sent
            self.progress.failed(f"monitor of {predicted.run}", error)
            return _unknown(first_line(error))
        return Watched(found, (f"monitor: {found}", *self._last(slot)))

    def _last(self, slot: str) -> list[str]:
        """What the monitor has said of the slot's scores, where that is not `ok`."""
        monitored = last(local_path(self.config.submit.dir, "submit.dir") / FOLDER).get(slot, {})
        level, reasons = str(monitored.get("level", "ok")), monitored.get("score_reasons") or []
        return [f"monitor of its scores: {level}: {'; '.join(reasons)}"] if reasons else []

    def _reference(self, run: str) -> Reference | None:
        base = local_path(self.config.run.dir, "run.dir")
        found = drift.read(base / run / FOLDER / REFERENCE)
        if found is None and self.start is not None:
            # A round closes within the hour: few eras are looked at, and nobody is waited for.
            found = reference(self.start(), self.config, self.progress, run, min(FEW, self.config.monitor.eras), 0.0)
        return found


def rules(settings: Monitor) -> dict[str, float]:
    """What `status_of_rows` goes by."""
    return {"rate": settings.drift_rate, "fewest": settings.fewest, "broken_share": settings.broken_share}


def _unknown(why: str) -> Watched:
    return Watched(Status("ok"), (f"monitor: not asked ({why})",))


def last(folder: Path) -> Mapping[str, Any]:
    """What the monitor's last call has said, by slot; empty where there is none that can be read."""
    try:
        found: Mapping[str, Any] = json.loads((folder / f"{NAME}.json").read_text(encoding="utf-8"))["slots"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found


def referenced(start: Callable[[], SparkSession], config: Config, progress: Progress, run: str) -> None:
    """Has the validated eras of a run looked at ahead of its first round, where rounds ask the monitor.

    What fails is told, and costs nothing: the round, or `jobs/monitor.py`, looks at them then.
    """
    if not config.monitor.enabled:
        return
    try:
        file = local_path(config.run.dir, "run.dir") / run / FOLDER / REFERENCE
        if file.exists() and _asked(file) == config.monitor.eras:
            return
        reference(start(), config, progress, run)
    except Exception as error:
        why = refusal(error) or first_line(error)
        progress.note(f"monitor: the validated eras of {run} are not looked at yet ({why}); say jobs/monitor.py")


def reference(
    spark: SparkSession, config: Config, progress: Progress, run: str, most: int | None = None,
    wait: float | None = None,
) -> Reference:  # fmt: skip
    """The validated eras of a finished run, `most` of them (without it `monitor.eras`); kept below `<run>/monitor/`.

    They are looked at once, and anew where another number is asked for. Where another process looks at them, this one
    waits `wait` seconds, without it as long as for tables.

    InputError: there is no such run, a version of a table that it had read is gone, it has validated too few eras, or
    another process still looks at them.
    """
    base, wanted = local_path(config.run.dir, "run.dir"), config.monitor.eras if most is None else most
    manifest, trained = settings_of(base, run, "submit.slots: run")
    file = base / run / FOLDER / REFERENCE
    with locked(file.parent, "run.dir", config.tables.wait if wait is None else wait):
        found = drift.read(file)
        if found is not None and _asked(file) in (None, wanted):
            return found
        try:
            made = _looked_at(Store(spark, trained.tables.root, trained.tables.wait), trained, base / run, manifest,
                              wanted, progress)  # fmt: skip
        except InputError as error:
            if found is None:
                raise
            progress.note(f"{run}: {found.eras} validated eras stay what rows are held to ({error})")
            return found
        made.write(file)
        write_json(file.with_suffix(".json"), {"asked": wanted})
    return made


def _asked(file: Path) -> int | None:
    """How many eras a reference was to have; None where nobody knows."""
    try:
        return int(json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))["asked"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _looked_at(
    store: Store, trained: Config, folder: Path, manifest: Mapping[str, Any], most: int, progress: Progress
) -> Reference:
    """What so many validated eras of a run's folder look like."""
    rows = Rows.of(store, trained, tables_read(folder, manifest, store))
    validated = sorted({int(era) for fold in manifest["folds"] for era in fold["validation"]})
    chosen = spread(validated, most)
    progress.stage(f"{folder.name}: looking at {len(chosen)} validated eras")
    return Reference.of(rows.names, rows.families, rows.profiles(chosen).values())


def spread(eras: Sequence[int], most: int) -> list[int]:
    """All of the sorted eras, or `most` of them at equal distances."""
    if len(eras) <= most:
        return list(eras)
    return [eras[round(place * (len(eras) - 1) / (most - 1))] for place in range(most)]


@dataclass(frozen=True)
class Rows:
    """The rows of a run's training table, without their targets."""

    table: DataFrame  # era, features
    names: tuple[str, ...]
    missing: int
    families: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, store: Store, config: Config, tables: Versions) -> Rows:
        """Of the tables that a run has read."""
        made = tables["classic_training" if config.is_classic else "training"]
        manifest, table = made.manifest, store.read(made)
        if not config.is_classic:
            names = tuple(manifest["features"])
            return cls(table.select("era", "features"), names, int(manifest["missing"]), manifest["families"])
        sets = classic_steps.sets(config, tables[classic_steps.ERAS])
        names, features = sets.chosen(config.classic.features)
        rows = table.select("era", features.alias("features"))
        return cls(rows, names, int(manifest["missing"]), sets.within(names))

    def profiles(self, eras: Sequence[int]) -> Mapping[int, profile.Profile]:
        """By era."""
        return profiles(of_eras(self.table, eras), len(self.names), self.missing)
