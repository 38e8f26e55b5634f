"""What `jobs/monitor.py` does: keeps what was live and what it scored, charts both, and says what is to be done."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from pyspark.sql import SparkSession

from eraflow.appended import Appended
from eraflow.causes import first_line, refusal
from eraflow.config import Config, load
from eraflow.config.submit import Slot
from eraflow.errors import InputError
from eraflow.frames import read_frame
from eraflow.locks import locked
from eraflow.monitoring import profile, records
from eraflow.monitoring.drift import Reference, drifted
from eraflow.monitoring.gate import status_of_rows
from eraflow.monitoring.profile import Profile
from eraflow.monitoring.records import Sent
from eraflow.monitoring.status import Status, together
from eraflow.outcome import Code, Outcome, gravest
from eraflow.pipeline.finished import manifest_of
from eraflow.pipeline.monitored_rounds import graphs, of_books, others
from eraflow.pipeline.scored_slots import charted
from eraflow.pipeline.submitting import chosen, of_champions, scores
from eraflow.pipeline.watching import FOLDER, NAME, last, reference, rules
from eraflow.progress import Progress
from eraflow.reporting import Document, Page
from eraflow.reporting.monitored import Monitored, monitored_sections
from eraflow.rounds.credentials import environment
from eraflow.rounds.ledger import Ledger
from eraflow.rounds.predicted import Predicted, all_predicted
from eraflow.rounds.scores import COLUMNS, COMPARED, SCORES
from eraflow.rounds.webhook import tell
from eraflow.session import local_path
from eraflow.whole_files import write_bytes, write_json

TITLE = "eraflow: does it still work"
CODES = {"ok": Code.DONE, "warn": Code.WARNED, "retrain": Code.RETRAIN, "block": Code.BLOCKED}
NOTIFIED_LEVEL = "told_level"  # in the JSON: the level that the webhook has heard of last
LATE = 10  # rounds whose churn, turnover and coverage Numerai may tell later


def monitor(
    spark: SparkSession, config: Config, progress: Progress, slots: Sequence[str] | None = None, offline: bool = False
) -> Outcome:
    """The status of the slots, each with its reasons; tables, page and JSON stand in `<submit.dir>/monitor/`.

    `offline` asks Numerai for nothing. InputError: no slot is named, or there is none of such a name.
    """
    call = _Call(spark, config, progress, chosen(config, slots))
    if not offline:
        call.fetch()
    with locked(call.out, "submit.dir", config.tables.wait):
        found, faults = call.looked()
        if not found and not faults:
            return Outcome(Code.NOTHING_TO_DO, ("no slot has predicted a round yet; say jobs/round.py",))
        if not found:
            raise InputError(next(iter(faults.values())))
        news = call.write(found)
        lines = [line for one in found for line in _lines(one)]
        lines += [f"{name}: not looked at: {why}" for name, why in faults.items()]
        outcome = Outcome(
            gravest([*(CODES[one.level] for one in found), *([Code.WARNED] if faults else [])]),
            (*lines, f"monitor: {call.out / NAME}.html"),
        )
        if news and config.submit.webhook:
            call.tell(config.submit.webhook, outcome, found)
    return outcome


def config_with_slots(
    overlays: Sequence[str], settings: Sequence[str], slots: Sequence[str] | None = None, **_: object
) -> Config:
    """The configuration. InputError, before Spark starts: no slot is named, or there is none of such a name."""
    config = load(overlays, settings)
    chosen(config, slots)
    return config


@dataclass(frozen=True)
class _Call:
    """One call of the job."""

    spark: SparkSession
    config: Config
    progress: Progress
    slots: Mapping[str, Slot]

    @cached_property
    def folder(self) -> Path:
        return local_path(self.config.submit.dir, "submit.dir")

    @cached_property
    def out(self) -> Path:
        return self.folder / FOLDER

    @cached_property
    def runs(self) -> Path:
        return local_path(self.config.run.dir, "run.dir")

    @cached_property
    def live(self) -> Appended:
        root = self.config.tables.root
        return Appended(self.spark, root, records.LIVE, records.LIVE_SCHEMA, records.LIVE_KEYS)

    @cached_property
    def scored(self) -> Appended:
        root = self.config.tables.root
        return Appended(self.spark, root, records.SCORED, records.SCORED_SCHEMA, records.SCORED_KEYS)

    def fetch(self) -> None:
        """Brings scores that have been resolved since; without an answer those that are there are charted."""
        try:
            found = scores(None, self.config, self.progress)
            if found.code == Code.FAILED:
                self.progress.note("; ".join(found.lines))
        except Exception as error:
            self.progress.note(f"scores were not brought: {refusal(error) or first_line(error)}")

    def looked(self) -> tuple[list[Monitored], dict[str, str]]:
        """What is to be told of each slot that has predicted a round; by slot why it cannot be looked at."""
        self._keep_scores()
        stored = self.live.rows()
        seen: dict[str, _Seen] = {}
        faults: dict[str, str] = {}
        for name, asked in self.slots.items():
            with self._apart(name, faults):
                slot = of_champions(self.runs, asked)
                rounds, odd = all_predicted(self.runs / slot.run)
                if rounds:
                    kept = stored[(stored["slot"] == name) & (stored["run"] == slot.run)]
                    seen[name] = self._seen(name, slot, rounds, odd, kept)
                elif odd:
                    raise odd[-1]
                else:
                    manifest_of(self.runs, slot.run)  # a finished run that has predicted nothing yet is no fault
        new = [rows for one in seen.values() for rows in one.new]
        if new:
            self.live.add(pd.concat(new, ignore_index=True))
        history, scored = self.live.rows() if new else stored, self.scored.rows()
        found = []
        for name, one in seen.items():
            with self._apart(name, faults):
                found.append(self._monitored(name, one, history, scored))
        return found, faults

    @contextmanager
    def _apart(self, slot: str, faults: dict[str, str]) -> Iterator[None]:
        """What fails inside costs only this slot."""
        try:
            yield
        except Exception as error:
            faults[slot] = self._why(slot, error)

    def _why(self, what: str, error: Exception) -> str:
        """What a user can mend, in its sentence; of other failures the first line, and the whole in the log."""
        if (refused := refusal(error)) is not None:
            return str(refused)
        self.progress.failed(f"monitor of {what}", error)
        return first_line(error)

    def _keep_scores(self) -> None:
        file, compared = self.folder / SCORES, self.folder / COMPARED
        if not file.exists():
            return
        columns = ["slot", "round", "name", "ours"]
        ours = read_frame(compared, columns) if compared.exists() else pd.DataFrame(columns=columns)
        found = read_frame(file)
        if lacking := [name for name in COLUMNS if name not in found]:
            raise InputError(f"{file} has no column {lacking[0]}; remove it, and jobs/scores.py fetches it anew.")
        self.scored.rows()  # what of the table is damaged is told before anything is added to it
        self.scored.add(records.scored_rows(found, ours))

    def _seen(
        self, name: str, slot: Slot, rounds: Sequence[Predicted], odd: Sequence[InputError], kept: pd.DataFrame
    ) -> _Seen:
        """What the rounds of a slot look like; of those that the table has only what is known late is added."""
        self.progress.stage(f"looking at the rounds of {name}")
        held, why, dates = None, "", set(kept["date"])
        unread, new = list(map(str, odd)), self._late(name, slot, rounds, kept)
        try:
            held = reference(self.spark, self.config, self.progress, slot.run)
            learned = self._graphs(slot.run) if any(one.date not in dates for one in rounds) else {}
            for one, before in zip(rounds, (None, *rounds), strict=False):
                try:
                    if one.date not in dates and (live := profile.read(one.folder)) is not None:
                        new.append(self._rows(_sent(name, slot, one), one, before, held, live, learned))
                except Exception as error:
                    unread.append(f"{one.date}: {self._why(f'{name} {one.date}', error)}")
        except Exception as error:
            why = self._why(name, error)
        return _Seen(slot, rounds[-1], held, why, tuple(new), _unread(unread))

    def _graphs(self, run: str) -> Mapping[int, Mapping[str, float]]:
        """By era what the run's learned graphs look like; empty where they cannot be looked at."""
        try:
            return graphs(self.spark, self.runs, run)
        except Exception as error:
            self.progress.note(f"the graphs of {run} cannot be looked at: {self._why(run, error)}")
            return {}

    def _rows(
        self, sent: Sent, one: Predicted, before: Predicted | None, held: Reference, live: Profile,
        learned: Mapping[int, Mapping[str, float]],
    ) -> pd.DataFrame:  # fmt: skip
        """A round's rows for the table."""
        look = one.manifest["predictions"][sent.prediction].get("look", {})
        beside = {
            **others(self.folder, sent, one, before),
            **learned.get(int(one.manifest["live"].get("era") or -1), {}),
        }
        return records.live_rows(sent, held, live, self.config.monitor.drift_rate, look, beside)

    def _late(self, name: str, slot: Slot, rounds: Sequence[Predicted], kept: pd.DataFrame) -> list[pd.DataFrame]:
        """What Numerai has said of rounds since they were first looked at: its own figures come after they are sent."""
        found, books = [], Ledger(self.folder)
        for one in [one for one in rounds if one.date in set(kept["date"])][-LATE:]:
            of_date = kept[kept["date"] == one.date]
            prediction = str(of_date["prediction"].iloc[-1])
            sent = Sent(one.tournament, name, one.manifest.get("round"), one.date, slot.run, prediction)
            since = {key: value for key, value in of_books(books, sent).items() if key not in set(of_date["statistic"])}
            if since:
                found.append(records.beside_rows(sent, since))
        return found

    def _monitored(self, name: str, seen: _Seen, history: pd.DataFrame, scored: pd.DataFrame) -> Monitored:
        rows, moved, unseen = self._newest(name, seen)
        of_slot = scored[(scored["slot"] == name) & (scored["tournament"] == seen.newest.tournament)]
        charts = charted(self.runs, self.config, seen.slot, of_slot, seen.newest, Ledger(self.folder))
        status = together([rows, charts.status])
        return Monitored(
            slot=name,
            run=seen.slot.run,
            date=seen.newest.date,
            level=status.level,
            reasons=status.reasons,
            score_reasons=charts.status.reasons,
            live=history[history["slot"] == name],
            scores=charts.frame,
            limits=charts.limits,
            moved=moved,
            eras=seen.held.eras if seen.held else 0,
            notes=(*charts.notes, *unseen, *seen.notes),
        )

    def _newest(self, name: str, seen: _Seen) -> tuple[Status, pd.DataFrame, tuple[str, ...]]:
        """The status of the newest round's rows, what has drifted, and notes. What cannot be looked at warns."""
        why = seen.why
        if seen.held is not None:
            try:
                live = profile.read(seen.newest.folder)
                if live is None:
                    return Status("ok"), pd.DataFrame(), ("its newest round was predicted without a profile",)
                moved = drifted(seen.held, live, self.config.monitor.drift_rate)
                return status_of_rows(seen.held, live, **rules(self.config.monitor)), moved, ()
            except Exception as error:
                why = self._why(name, error)
        return Status("warn", (f"the rows of its newest round cannot be looked at: {why}",)), pd.DataFrame(), ()

    def write(self, found: Sequence[Monitored]) -> bool:
        """Writes page and JSON; returns whether a slot has another level than was told last.

        Of slots that this call did not look at, or could not, the JSON keeps what was found last.
        """
        before = last(self.out)
        document = Document(NAME, TITLE, self.config.run.name, (), monitored_sections(found))
        for file, data in Page(document).files():
            write_bytes(self.out / file, data)
        notified = {one.slot: _notified_level(before.get(one.slot, {})) for one in found}
        now = {one.slot: {**_plain(one), NOTIFIED_LEVEL: notified[one.slot]} for one in found}
        self._write_json({**{name: one for name, one in before.items() if name in self.config.submit.slots}, **now})
        return any(one.level != notified[one.slot] for one in found)

    def tell(self, webhook: str, outcome: Outcome, found: Sequence[Monitored]) -> None:
        """Tells the address, and notes that it has heard; what it did not hear the next call tells again."""
        if fault := tell(webhook, outcome, environment()):
            self.progress.note(fault)
            return
        slots = dict(last(self.out))
        self._write_json(slots | {one.slot: {**slots[one.slot], NOTIFIED_LEVEL: one.level} for one in found})

    def _write_json(self, slots: Mapping[str, Any]) -> None:
        write_json(self.out / f"{NAME}.json", {"made_at": datetime.now(UTC).isoformat(), "slots": slots})


@dataclass(frozen=True)
class _Seen:
    """A slot's newest round, what its rows are held to or `why` to nothing, rows for the table, and notes."""

    slot: Slot
    newest: Predicted
    held: Reference | None
    why: str
    new: tuple[pd.DataFrame, ...]
    notes: tuple[str, ...]


def _sent(name: str, slot: Slot, one: Predicted) -> Sent:
    return Sent(one.tournament, name, one.manifest.get("round"), one.date, slot.run, one.name(slot.prediction))


def _unread(why: Sequence[str]) -> tuple[str, ...]:
    """What is told of rounds that cannot be looked at."""
    if not why:
        return ()
    return (f"{len(why)} of its rounds cannot be looked at{', one of them' if len(why) > 1 else ''}: {why[-1]}",)


def _lines(one: Monitored) -> list[str]:
    """What is printed of a slot; what only explains it is indented."""
    why = "; ".join(one.reasons)
    return [f"{one.slot}: {one.level}{': ' if why else ''}{why}", *(f"  {note}" for note in one.notes)]


def _plain(one: Monitored) -> dict[str, Any]:
    """What the JSON says of a slot."""
    newest = one.scores.dropna(subset=["value"]).sort_values("round").tail(1)
    return {
        "level": one.level, "reasons": list(one.reasons), "score_reasons": list(one.score_reasons),
        "run": one.run, "date": one.date, "notes": list(one.notes), "limits": dict(one.limits),
        "last_scored_round": int(newest["round"].iloc[0]) if len(newest) else None,
        "drifted": [
            {"feature": str(row.feature), "statistic": str(row.statistic), "value": _number(row.value),
             "low": _number(row.low), "high": _number(row.high)}
            for row in one.moved.head(records.NAMED).itertuples()
        ],
    }  # fmt: skip


def _notified_level(before: Mapping[str, Any]) -> str:
    """The level of a slot that the webhook has heard of last."""
    return str(before.get(NOTIFIED_LEVEL, before.get("level", "ok")))


def _number(value: object) -> float | None:
    found = float(str(value))
    return found if math.isfinite(found) else None
