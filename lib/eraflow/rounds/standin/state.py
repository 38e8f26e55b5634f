"""What the stand-in knows: rounds, models, files, submissions and scores, by the rules of Numerai's server."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from threading import RLock
from typing import Any

import pandas as pd

from eraflow.rounds.standin.faults import Faults
from eraflow.rounds.standin.graphql import Field, QueryError

NUMBERS = {"classic": 8, "signals": 11}
# Of requests a minute from one address, by field.
LIMITS = {"listDatasets": 10, "rounds": 250, "submissions": 100}
PAID = {
    8: (("canon_corr20", 0.75, 20), ("canon_mmc20", 2.25, 20)),
    11: (("canon_alpha60", 0.3, 60), ("canon_mpc60", 0.8, 60)),
}
CLIPS = {8: 0.05, 11: 0.017}


@dataclass
class StandIn:
    """The server's memory. `now` is its clock; `limits` empty means no limits of requests."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    limits: dict[str, int] = field(default_factory=dict)
    address: str = ""
    rounds: list[dict[str, Any]] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)  # by the names of data sets' files
    universes: dict[tuple[int, int], frozenset[str]] = field(default_factory=dict)  # by tournament and round
    uploads: dict[str, bytes] = field(default_factory=dict)
    submissions: list[dict[str, Any]] = field(default_factory=list)
    scores: list[dict[str, Any]] = field(default_factory=list)  # as submissionScores has them, and modelId
    asked: list[tuple[str, dict[str, Any], bool]] = field(default_factory=list)  # field, arguments, with the key
    faults: Faults = field(default_factory=Faults)
    lock: RLock = field(default_factory=RLock)

    def add_round(
        self, tournament: str, number: int, opens: datetime, closes: datetime, data_date: str | None = None
    ) -> None:
        """A round that pays what Numerai paid in 2026."""
        kind = NUMBERS[tournament]
        record = {
            "id": str(uuid.uuid4()), "tournament": kind, "number": number, "target": "ender",
            "openTime": _text(opens), "closeTime": _text(closes), "closeStakingTime": _text(closes),
            "scoreTime": _text(closes + timedelta(days=4)), "resolveTime": _text(closes + timedelta(days=31)),
            "resolvedGeneral": False, "resolvedStaking": False, "payoutFactor": "1.0", "stakeThreshold": 72000.0,
            "dataDatestamp": int(data_date.replace("-", "")) if data_date else None,
            "roundScoreConfigs": [_config(name, factor, days, CLIPS[kind]) for name, factor, days in PAID[kind]],
        }  # fmt: skip
        self.rounds.append(record)

    def add_model(self, tournament: str, name: str) -> str:
        """A model of the account; its id."""
        made = _id(f"{tournament}/{name}")
        self.models.append({"id": made, "name": name, "tournament": NUMBERS[tournament]})
        return made

    def current(self, tournament: int) -> dict[str, Any] | None:
        """The newest round that has opened, closed or not."""
        opened = [
            one for one in self.rounds if one["tournament"] == tournament and _time(one["openTime"]) <= self.now()
        ]
        return max(opened, key=lambda one: one["number"], default=None)

    def of_model(self, model: str, number: int | None = None) -> list[dict[str, Any]]:
        """Its submissions, of one round or of all, in the order in which they came."""
        mine = [one for one in self.submissions if one["modelId"] == model]
        return [one for one in mine if number is None or one["round"]["number"] == number]

    def effective(self, model: str, number: int) -> bytes | None:
        """The file that counts in a round: that of the newest valid submission."""
        valid = [one for one in self.of_model(model, number) if one["content"] is not None and not one["errorInfo"]]
        return valid[-1]["content"] if valid else None

    def resolve(self, asked: Field, authorized: bool) -> Any:
        """What a field of a query is; QueryError as the server has it."""
        resolver = _RESOLVERS.get(asked.name)
        if resolver is None:
            raise QueryError(f'Cannot query field "{asked.asked}" on type "RootQueryType".')
        needs_key, answer = resolver
        if needs_key and not authorized:
            raise QueryError("You must be authenticated to perform this action.")
        with self.lock:
            return answer(self, asked.arguments)

    def create(self, arguments: Mapping[str, Any], tournament: int) -> dict[str, Any]:
        """A submission of what was uploaded: for the open round or, after its close, for the next one."""
        current = self.current(tournament)
        model = next((one for one in self.models if one["id"] == arguments.get("modelId")), None)
        if current is None or model is None or model["tournament"] != tournament:
            raise QueryError("Model not found." if current else "There is no round.")
        late = self.now() >= _time(current["closeStakingTime"])
        number = current["number"] + late
        content = self.uploads.get(arguments["filename"])
        made = {
            "id": str(uuid.uuid4()), "modelId": model["id"], "filename": arguments["filename"], "content": content,
            "insertedAt": _text(self.now() + timedelta(microseconds=len(self.submissions))),
            "round": {"number": number, "tournament": tournament}, "status": None, "errorInfo": None,
            "selected": True, "firstEffectiveDate": _text(self.now()), "invalidTickers": None,
            "tickersAcceptedCount": None, "prevWeekChurnMax": None, "prevWeekTurnoverMax": None,
        }  # fmt: skip
        if content is not None:
            made["errorInfo"] = self._fault(content, (tournament, number))
            made["status"] = "failed" if made["errorInfo"] else "finished"
        if tournament == NUMBERS["signals"] and content is not None and not made["errorInfo"]:
            made |= {
                "tickersAcceptedCount": content.count(b"\n") - 1,
                "prevWeekChurnMax": 0.0,
                "prevWeekTurnoverMax": 0.0,
            }
        self.submissions.append(made)
        return made

    def _fault(self, content: bytes, of: tuple[int, int]) -> str | None:
        """What is wrong with a submission's file, where the round's universe is known."""
        try:
            frame = pd.read_csv(BytesIO(content), dtype={0: str})
            ids, values = frame.iloc[:, 0].astype(str), frame.iloc[:, 1]
        except (ValueError, IndexError):
            return "invalid_submission_headers"
        universe = self.universes.get(of)
        needed = 100 if of[0] == NUMBERS["signals"] else len(universe or ())
        if universe is not None and len(set(ids) & universe) < needed:
            return "invalid_submission_ids"
        return None if values.between(0, 1).all() and values.nunique() > 1 else "invalid_submission_values"


class _Anything(dict[str, Any]):
    """A record that has every field; those that nobody has set are null."""

    def __contains__(self, _: object) -> bool:
        return True

    def __missing__(self, _: str) -> None:
        return None


def _config(name: str, factor: float, days: int, clip: float) -> dict[str, Any]:
    return {
        "id": name, "scoreConfigId": name, "roundNumberStart": 1, "roundNumberEnd": None, "name": name,
        "version": "v1", "displayName": name, "totalScoreDays": days, "returnsLagDays": 2, "dataDelayDays": 1,
        "universe": None, "isCanonScore": True, "isPayout": True, "scoringStart": None, "scoringEnd": None,
        "minMultiplier": 0.0, "maxMultiplier": factor, "defaultMultiplier": factor, "clipThreshold": clip,
        "stakeThreshold": 72000.0, "payoutFactor": "1.0",
    }  # fmt: skip


def _rounds(state: StandIn, arguments: Mapping[str, Any]) -> Sequence[dict[str, Any] | None]:
    tournament = arguments.get("tournament", NUMBERS["classic"])
    if arguments.get("number") == 0:
        return [state.current(tournament)]
    found = [one for one in state.rounds if one["tournament"] == tournament]
    found = [one for one in found if arguments.get("number") in (None, one["number"])]
    return sorted(found, key=lambda one: -one["number"])[: arguments.get("limit")]


def _place(state: StandIn, arguments: Mapping[str, Any]) -> dict[str, str]:
    stem, _, suffix = arguments["filename"].rpartition(".")
    name = f"{stem}-{uuid.uuid4().hex[:12]}.{suffix}"
    return {"filename": name, "url": f"{state.address}/upload/{name}?signature={uuid.uuid4().hex}"}


def _download(state: StandIn, arguments: Mapping[str, Any]) -> dict[str, str]:
    found = next((one for one in state.submissions if one["id"] == arguments.get("id")), None)
    if found is None:
        raise QueryError("Submission not found.")
    return {"filename": found["filename"], "url": f"{state.address}/submission/{found['id']}"}


def _dataset(state: StandIn, arguments: Mapping[str, Any]) -> str:
    if arguments["filename"] not in state.files:
        raise QueryError("Invalid dataset.")
    return f"{state.address}/data/{arguments['filename']}"


def _scores(state: StandIn, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    mine = [one for one in state.scores if one["modelId"] == arguments.get("modelId")]
    return [one for one in mine if arguments.get("resolved") in (None, one["resolved"])]


Resolver = tuple[bool, Callable[[StandIn, Mapping[str, Any]], Any]]  # whether it needs the key, and what it gives
_RESOLVERS: dict[str, Resolver] = {
    "rounds": (False, _rounds),
    "listDatasets": (False, lambda state, _: sorted(state.files)),
    "dataset": (False, _dataset),
    "account": (True, lambda state, _: {"models": state.models}),
    "submissions": (True, lambda state, arguments: state.of_model(arguments.get("modelId", ""))),
    "submissionScores": (False, _scores),
    "submissionDownloadAuth": (True, _download),
    "submissionUploadAuth": (True, _place),
    "submissionUploadSignalsAuth": (True, _place),
    "model": (True, lambda state, arguments: {"submissions": state.of_model(arguments.get("modelId", ""))}),
    "diagnosticsUploadAuth": (True, _place),
    "createDiagnostics": (True, lambda state, arguments: _made(arguments)),
    "diagnostics": (True, lambda state, arguments: [_Anything(status="done", perEraDiagnostics=[])]),
    "computePickleDataVersions": (True, lambda state, _: [{"id": _id("v5.3"), "name": "v5.3"}]),
    "computePickleDockerImages": (True, lambda state, _: [{"id": _id("Python 3.11"), "name": "Python 3.11"}]),
    "computePickleUploadAuth": (True, _place),
    "createComputePickleUpload": (True, lambda state, arguments: _made(arguments)),
    "createSubmission": (True, lambda state, arguments: state.create(arguments, arguments["tournament"])),
    "createSignalsSubmission": (True, lambda state, arguments: state.create(arguments, NUMBERS["signals"])),
}


def _made(arguments: Mapping[str, Any]) -> dict[str, str]:
    return {"id": _id(arguments["filename"])}


def _id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
