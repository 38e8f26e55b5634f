"""Scores of resolved rounds, fetched into a table, and ours beside Numerai's where both know the target.

Classic's weekly eras are Saturday rounds: their ids come back in validation.parquet with targets, so that a file that
was sent can be scored here by the same steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.dataset as ds
from numerai_tools.scoring import numerai_corr

from eraflow.frames import read_frame
from eraflow.rounds.api import CLASSIC, Numerai
from eraflow.rounds.ledger import Event, Ledger
from eraflow.rounds.predicted import frame_of
from eraflow.rounds.trouble import RefusedError, UnreachableError
from eraflow.whole_files import write_csv

SCORES, COMPARED = "scores.csv", "scores_compared.csv"
KEYS = ["tournament", "slot", "round", "name", "version", "day"]
COLUMNS = [*KEYS, "value", "percentile", "date", "resolved", "submission"]
CORRELATION = "corr20"  # in the name of Numerai's score of a target of 20 days
MIN_LABELLED = 0.8  # of a file's ids, for a score of ours
PROBES = 5  # ids of a round that are looked for first


@dataclass(frozen=True)
class Scores:
    """The tables below the ledger's folder."""

    ledger: Ledger

    def models(self) -> dict[tuple[str, str], str]:
        """The ids of models that something was sent to, by tournament and slot."""
        lines = [line for line in self.ledger.lines() if "model" in line]
        return {(line["tournament"], line["slot"]): line["model"] for line in lines}

    def fetch(self, clients: Mapping[str, Numerai]) -> tuple[pd.DataFrame, dict[str, str]]:
        """All scores that are there now: those that were known, and what the server says of resolved rounds.

        Beside them, by slot, why it says nothing of a model; that costs no other one.
        """
        found: list[tuple[Any, ...]] = []
        faults: dict[str, str] = {}
        for (tournament, slot), model in self.models().items():
            try:
                found += [_row(tournament, slot, answer) for answer in clients[tournament].scores(model)]
            except (UnreachableError, RefusedError) as error:
                faults[slot] = str(error)
        before = self._read(SCORES, COLUMNS)
        table = _longer(before, found)
        table = table.drop_duplicates(KEYS, keep="last").sort_values(KEYS, ignore_index=True)
        write_csv(table, self.ledger.folder / SCORES)
        return table, faults

    def compare(self, scores: pd.DataFrame, validation: Path, target: str) -> pd.DataFrame:
        """`slot, round, name, numerai, ours, difference` of Classic's rounds whose rows are in `validation` by now."""
        before = self._read(COMPARED, ["slot", "round", "name", "numerai", "ours", "difference"])
        compared = set(zip(before["slot"], before["round"], strict=True))
        sent = {key: file for key, file in self._sent().items() if key not in compared}
        named = scores[scores["name"].astype(str).str.contains(CORRELATION) & (scores["tournament"] == CLASSIC)]
        named = named.sort_values("day").drop_duplicates(["slot", "round"], keep="last")
        wanted = {(one["slot"], one["round"]): one for one in named.to_dict("records")}
        wanted = {key: one for key, one in wanted.items() if key in sent}
        files = {key: frame_of(sent[key].read_bytes(), str(sent[key])) for key in wanted}
        rows = []
        for key, targets in _targets(files, validation, target).items():
            ours, theirs = _scored(files[key], targets), float(wanted[key]["value"])
            rows.append((*key, wanted[key]["name"], theirs, ours, ours - theirs))
        table = _longer(before, rows)
        write_csv(table, self.ledger.folder / COMPARED)
        return table

    def _sent(self) -> dict[tuple[str, int], Path]:
        """The copy of Classic's last effective file, by slot and round."""
        lines = [line for line in self.ledger.lines() if line["event"] == Event.EFFECTIVE]
        copies = {
            (line["slot"], line["round"]): self.ledger.keeps(line["sha256"])
            for line in lines
            if line["tournament"] == CLASSIC
        }
        return {key: copy for key, copy in copies.items() if copy is not None}

    def _read(self, name: str, columns: list[str]) -> pd.DataFrame:
        file = self.ledger.folder / name
        return read_frame(file) if file.exists() else pd.DataFrame(columns=columns)


def _longer(table: pd.DataFrame, rows: Sequence[tuple[Any, ...]]) -> pd.DataFrame:
    """The table with further rows."""
    more = pd.DataFrame(list(rows), columns=table.columns)
    return pd.concat([each for each in (table, more) if len(each)], ignore_index=True) if len(table) or rows else table


def _row(tournament: str, slot: str, answer: Mapping[str, Any]) -> tuple[Any, ...]:
    date = answer.get("date")
    return (
        tournament, slot, answer.get("roundNumber"), answer.get("displayName"), answer.get("version"),
        answer.get("day"), answer.get("value"), answer.get("percentile"), None if date is None else str(date)[:10],
        answer.get("resolved"), answer.get("submissionId"),
    )  # fmt: skip


def _targets(files: Mapping[Any, pd.DataFrame], validation: Path, target: str) -> dict[Any, pd.Series[float]]:
    """By file the known targets of its ids; files whose rows are not in there are left out."""
    data = ds.dataset(validation, format="parquet")
    if not files or target not in data.schema.names:
        return {}
    probes = [str(one) for frame in files.values() for one in frame.iloc[:PROBES, 0]]
    present = set(_rows(data, probes, target).index)
    some = {key: frame for key, frame in files.items() if present & set(frame.iloc[:PROBES, 0])}
    if not some:
        return {}
    labels = _rows(data, [str(one) for frame in some.values() for one in frame.iloc[:, 0]], target).dropna()
    found = {key: labels.reindex(frame.iloc[:, 0]).dropna() for key, frame in some.items()}
    return {key: targets for key, targets in found.items() if len(targets) >= MIN_LABELLED * len(files[key])}


def _rows(data: Any, ids: Sequence[str], target: str) -> pd.Series[float]:
    table = data.to_table(columns=["id", target], filter=ds.field("id").isin(list(ids)))
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    return frame.set_index("id")[target]


def _scored(frame: pd.DataFrame, targets: pd.Series[float]) -> float:
    predictions = frame.set_index(frame.columns[0])
    return float(numerai_corr(predictions, targets).iloc[0])
