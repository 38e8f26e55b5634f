"""One file to one of the account's models, so that it is the round's effective submission once, or nothing was sent.

The latest valid submission of a round wins, and the server takes a late one for the next round. A sending can be killed
anywhere, and an answer can be lost after the server has acted. So each attempt first looks at the round and its close
and at what the server holds; what is there already, by content, is not sent again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from eraflow.errors import InputError
from eraflow.outcome import Code
from eraflow.rounds.api import Numerai, Submission
from eraflow.rounds.calendar import Round, Stage
from eraflow.rounds.ledger import Event, Ledger
from eraflow.rounds.predicted import frame_of
from eraflow.rounds.trouble import RefusedError, UnreachableError

# What a sending passes, in order; tests kill it at each.
POINTS = (
    "begun", "round-known", "reconciled", "told-ledger", "place-known", "uploaded", "close-looked-at", "created",
    "told-created", "read-back",
)  # fmt: skip


def nothing_more(_: str) -> None:
    """What happens at a point of a sending."""


class _OtherError(Exception):
    """A valid submission that holds something else than was sent: another attempt would make one more of them."""


@dataclass(frozen=True)
class World:
    """The time, and how it passes."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep
    at: Callable[[str], None] = nothing_more


@dataclass(frozen=True)
class Rules:
    """How long is tried, and whether a late file may go to the next round: `submit` of the configuration."""

    attempts: int
    pause: float
    margin: float
    queue: bool


@dataclass(frozen=True)
class Sent:
    """How the sending of one slot has ended, in a sentence."""

    code: Code
    said: str
    submission: Submission | None = None


@dataclass(frozen=True)
class Parcel:
    """A checked file on its way to a slot."""

    slot: str
    model: str  # its id at Numerai
    content: bytes
    origin: str  # run and prediction
    facts: dict[str, Any]  # for the books

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def filename(self, number: int) -> str:
        return f"{self.slot}-{number}-{self.sha256[:12]}.csv"


@dataclass(frozen=True)
class Sending:
    """Sends parcels for one round. The caller holds the lock of the ledger's folder."""

    client: Numerai
    ledger: Ledger
    rules: Rules
    world: World
    round: Round  # that the files were checked for

    def send(self, parcel: Parcel) -> Sent:
        """Sends the parcel unless the round has it already; tries again where the server is in trouble."""
        self.world.at("begun")
        trouble = ""
        for attempt in range(self.rules.attempts):
            if attempt:
                self.world.sleep(self.rules.pause * 2 ** (attempt - 1))
            try:
                return self._attempt(parcel)
            except _OtherError as error:
                said = f"Numerai has taken the file otherwise than it was sent (submission {error})"
                return Sent(Code.FAILED, f"{parcel.slot}: {said}; look at it there before the same command sends again")
            except UnreachableError as error:
                trouble = str(error)
            except RefusedError as error:
                self._note(Event.REFUSED, parcel, reason=str(error))
                return Sent(Code.BLOCKED, f"{parcel.slot}: Numerai refuses the file for {self.round}: {error}")
        return Sent(
            Code.FAILED,
            f"{parcel.slot}: Numerai is in trouble ({trouble}) after {self.rules.attempts} attempts; the same command "
            "looks at what it holds and goes on",
        )

    def _attempt(self, parcel: Parcel) -> Sent:
        current = self.client.round()
        self.world.at("round-known")
        submissions = self.client.submissions(parcel.model)
        if found := self._ours(parcel, submissions):
            return found
        self.world.at("reconciled")
        if late := self._late(parcel, current):
            return late
        made = self._made(parcel, submissions)
        self._refuse_again(parcel, made)
        pending = next((one.id for one in reversed(made) if one.round is None and one.is_valid), None)
        if pending is None:
            self.ledger.keep(parcel.content, parcel.sha256)
            self._note(Event.SENDING, parcel)
            self.world.at("told-ledger")
            name, url = self.client.place(parcel.model, parcel.filename(self.round.number))
            self.world.at("place-known")
            self.client.put(url, parcel.content)
            self.world.at("uploaded")
            if late := self._late(parcel, current):  # the upload may have taken long
                return late
            self.world.at("close-looked-at")
            pending = self.client.create(parcel.model, name)
            self.world.at("created")
            self._note(Event.CREATED, parcel, submission=pending)
            self.world.at("told-created")
        return self._read_back(parcel, pending)

    def _ours(self, parcel: Parcel, submissions: Sequence[Submission]) -> Sent | None:
        """The end of a sending whose file the server has: as the round's effective one, or for a later round."""
        newest = effective(submissions, self.round.number)
        if newest is not None and same(self.client.content(newest.id), parcel.content):
            return self._effective(parcel, newest)
        later = [one for one in submissions if one.round is not None and one.round > self.round.number]
        made = {line.get("submission") for line in self._lines(parcel)}
        mine = [one for one in later if one.is_valid and (one.id in made or parcel.sha256[:12] in one.filename)]
        return self._queued(parcel, mine[-1]) if mine else None

    def _effective(self, parcel: Parcel, newest: Submission) -> Sent:
        self.world.at("read-back")
        lines = self._lines(parcel)
        noted = [line for line in lines if line["event"] == Event.EFFECTIVE]
        if noted and noted[-1].get("submission") == newest.id:
            if noted[-1].get("server") != dict(newest.says):  # such as churn, which it finds out later
                self._note_effective(parcel, newest)
            return Sent(Code.NOTHING_TO_DO, f"{parcel.slot}: {self.round} has {parcel.origin} already", newest)
        self._note_effective(parcel, newest)
        by_us = any(line["event"] == Event.CREATED for line in lines)
        how = "is effective" if by_us else "was found effective"
        return Sent(Code.DONE, f"{parcel.slot}: {parcel.origin} {how} in {self.round} ({newest.id})", newest)

    def _note_effective(self, parcel: Parcel, newest: Submission) -> None:
        pays = [asdict(pay) for pay in self.round.pays]  # what the round pays, not what conf assumes
        facts = {"submission": newest.id, "server": dict(newest.says), "status": newest.status, "pays": pays}
        self._note(Event.EFFECTIVE, parcel, **facts)

    def _made(self, parcel: Parcel, submissions: Sequence[Submission]) -> list[Submission]:
        """Those that the server has made of this very file for this round, or of which it has not said for which."""
        made = {line["submission"] for line in self._lines(parcel) if line["event"] == Event.CREATED}
        # The answer with its id may have been lost: then its name tells.
        name = f"{parcel.slot}-{self.round.number}-{parcel.sha256[:12]}"
        mine = [one for one in submissions if one.round in (None, self.round.number)]
        return [one for one in mine if one.id in made or name in one.filename]

    def _refuse_again(self, parcel: Parcel, made: Sequence[Submission]) -> None:
        """RefusedError where the last thing that the server has made of this very file is a refusal of what it says."""
        last = max(made, key=lambda one: one.inserted, default=None)
        if last is None or last.is_valid:
            return
        try:
            content = self.client.content(last.id)
        except UnreachableError:  # what it has read is not known, and is sent again
            return
        if same(content, parcel.content):
            raise RefusedError(f"{_refusal(last)}; it is not uploaded again: predict anew, or send it by hand")

    def _read_back(self, parcel: Parcel, made: str) -> Sent:
        """What the server holds after it has made the submission, which it may take a while to list."""
        for look in range(self.rules.attempts):
            if look:
                self.world.sleep(self.rules.pause)
            submissions = self.client.submissions(parcel.model)
            if found := self._ours(parcel, submissions):
                return found
            mine = next((one for one in submissions if one.id == made), None)
            if mine is None or (mine.is_valid and mine.round is None):
                continue
            if mine.is_valid and mine.round is not None and mine.round > self.round.number:
                return self._queued(parcel, mine)
            held = self.client.content(made)
            if not same(held, parcel.content):
                if held is not None and mine.is_valid:
                    raise _OtherError(made)
                raise UnreachableError(f"submission {made} does not hold what was sent")
            if not mine.is_valid:
                raise RefusedError(_refusal(mine))
        raise UnreachableError(f"submission {made} is not effective yet")

    def _queued(self, parcel: Parcel, mine: Submission) -> Sent:
        """The end of a sending that the server has taken for a later round."""
        code = Code.DONE if self.rules.queue else Code.TOO_LATE
        if any(line["event"] == Event.QUEUED and line["submission"] == mine.id for line in self._lines(parcel)):
            code = Code.NOTHING_TO_DO
        else:
            self._note(Event.QUEUED, parcel, submission=mine.id, queued_for=mine.round, server=dict(mine.says))
        said = f"{parcel.slot}: {self.round} had closed, and Numerai has {parcel.origin} for round {mine.round}"
        return Sent(code, said, mine)

    def _late(self, parcel: Parcel, current: Round | None) -> Sent | None:
        """The end of a sending whose round has closed, or has not the file's number any more."""
        if current is not None and current.number == self.round.number:
            if current.stage(self.world.now(), self.rules.margin) is Stage.OPEN:
                return None
            if self.rules.queue:
                return None
        is_noted = any(line["event"] == Event.MISSED for line in self._lines(parcel))
        if not is_noted:
            self._note(Event.MISSED, parcel)
        return Sent(
            Code.NOTHING_TO_DO if is_noted else Code.TOO_LATE,
            f"{parcel.slot}: {self.round} closed at {self.round.closes:%Y-%m-%d %H:%M} UTC; nothing is sent any more, "
            "since Numerai would take it for the next round (submit.queue)",
        )

    def _lines(self, parcel: Parcel) -> Sequence[Mapping[str, Any]]:
        """What the books say of the slot in this round, and of this file."""
        lines = self.ledger.of(self.round.tournament, parcel.slot, self.round.number)
        return [line for line in lines if line.get("sha256") == parcel.sha256]

    def _note(self, event: Event, parcel: Parcel, **facts: Any) -> None:
        self.ledger.add(
            event, self.world.now(), tournament=self.round.tournament, round=self.round.number, slot=parcel.slot,
            model=parcel.model, sha256=parcel.sha256, origin=parcel.origin, **parcel.facts, **facts,
        )  # fmt: skip


def _refusal(submission: Submission) -> str:
    return submission.error or f"its status is {submission.status}"


def effective(submissions: Sequence[Submission], number: int) -> Submission | None:
    """The newest valid submission of a round."""
    mine = [one for one in submissions if one.round == number and one.is_valid]
    return max(mine, key=lambda one: one.inserted, default=None)


def same(theirs: bytes | None, ours: bytes) -> bool:
    """Whether a file that the server holds says what ours says, in whatever order and digits it has written it."""
    if theirs is None or theirs == ours:
        return theirs is not None
    try:
        a, b = frame_of(theirs, "it"), frame_of(ours, "it")
    except InputError:
        return False
    if list(a.columns) != list(b.columns) or len(a) != len(b):
        return False
    by = a.columns[0]
    a, b = a.sort_values(by, ignore_index=True), b.sort_values(by, ignore_index=True)
    try:
        their_values, our_values = (each.iloc[:, 1].to_numpy(dtype="float64") for each in (a, b))
    except (ValueError, IndexError):
        return False
    return bool(a[by].equals(b[by]) and np.allclose(their_values, our_values, rtol=0.0, atol=1e-9))
