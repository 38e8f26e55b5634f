"""Numerai's API, tournament by tournament: what is asked, and what of the answers is read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from eraflow.errors import InputError
from eraflow.rounds.calendar import Round, of_api, utc
from eraflow.rounds.credentials import Credentials
from eraflow.rounds.trouble import RefusedError, UnreachableError

CLASSIC, SIGNALS = "classic", "signals"

# numerapi reads less of them: rounds and files tell which one counts.
SUBMISSIONS = """query($modelId: String) { submissions(modelId: $modelId) {
    id filename insertedAt status errorInfo selected prevWeekChurnMax prevWeekTurnoverMax tickersAcceptedCount
    round { number } } }"""
DOWNLOAD = "query($id: String) { submissionDownloadAuth(id: $id) { filename url } }"
AUTHS = {CLASSIC: "submission_upload_auth", SIGNALS: "submissionUploadSignalsAuth"}
AUTH = """query($filename: String! $tournament: Int! $modelId: String) {
    %s(filename: $filename tournament: $tournament modelId: $modelId) { filename url } }"""
CREATE_CLASSIC = """mutation($filename: String! $tournament: Int! $modelId: String) {
    create_submission(filename: $filename tournament: $tournament modelId: $modelId source: "numerapi") { id } }"""
CREATE_SIGNALS = """mutation($filename: String! $modelId: String) {
    createSignalsSubmission(filename: $filename modelId: $modelId source: "numerapi") { id } }"""
DATASET = """query($filename: String!, $tournament: Int!) {
    dataset(filename: $filename, tournament: $tournament) }"""


@dataclass(frozen=True)
class Submission:
    """A submission as the server lists it. `round` is None as long as the server has given it none."""

    id: str
    filename: str
    inserted: datetime
    round: int | None
    status: str | None
    error: str | None
    says: Mapping[str, Any]  # whatever else it tells, such as churn and turnover

    @property
    def is_valid(self) -> bool:
        return not self.error and (self.status or "").lower() not in ("error", "failed", "invalid", "rejected")


@dataclass(frozen=True)
class Numerai:
    """One tournament at Numerai or, with a loopback `address`, at the stand-in."""

    tournament: str
    api: Any  # of `transport`

    @property
    def is_real(self) -> bool:
        """Whether it is Numerai itself."""
        return bool(self.api.is_real)

    def round(self) -> Round | None:
        """The current round, closed or not; None between rounds, where the API knows none."""
        try:
            rounds = self.api.list_rounds(number=0)
        except RefusedError as error:
            if "not open" in str(error).lower():
                return None
            raise
        except (KeyError, TypeError):  # numerapi reads the parts of a round that is null
            rounds = []
            if self.api.get_current_round() is not None:
                raise UnreachableError("a round that cannot be read") from None
        try:
            return of_api(self.tournament, rounds[0]) if rounds else None
        except (KeyError, TypeError, ValueError) as error:
            raise UnreachableError(f"a round that cannot be read ({error})") from None

    def models(self) -> dict[str, str]:
        """The account's models: ids by name."""
        return dict(self._read(self.api.get_models))

    def names(self) -> Sequence[str]:
        """The files of the newest data."""
        return list(self._read(self.api.list_datasets))

    def file_address(self, name: str) -> str:
        """Where a file of the data is; valid for some minutes."""
        return str(self._asked(DATASET, "dataset", {"filename": name, "tournament": self.api.tournament_id}, False))

    def submissions(self, model: str) -> list[Submission]:
        """All of a model's, the newest last."""
        answer = self._asked(SUBMISSIONS, "submissions", {"modelId": model})
        return sorted(self._read(lambda: [_submission(one) for one in answer]), key=lambda one: one.inserted)

    def content(self, submission: str) -> bytes | None:
        """The file that the server holds of a submission; None where it holds none."""
        download = self._asked(DOWNLOAD, "submissionDownloadAuth", {"id": submission})
        answer = self.api.transferred("GET", download["url"], None)
        if answer.status_code in (403, 404, 410):  # as a store answers for what it does not hold
            return None
        _expect_ok(answer)
        content: bytes = answer.content
        length = answer.headers.get("Content-Length")
        if length is not None and int(length) != len(content) and "Content-Encoding" not in answer.headers:
            raise UnreachableError(f"a download that ended after {len(content)} of {length} bytes")
        return content

    def place(self, model: str, filename: str) -> tuple[str, str]:
        """The server's name for a file that is to be uploaded, and the address to put it."""
        endpoint = AUTHS[self.tournament]
        wanted = {"filename": filename, "tournament": self.api.tournament_id, "modelId": model}
        answer = self._asked(AUTH % endpoint, endpoint, wanted)
        return str(answer["filename"]), str(answer["url"])

    def put(self, url: str, content: bytes) -> None:
        """Uploads, and checks the status and, where the store tells it, the hash of what has come."""
        answer = self.api.transferred("PUT", url, content)
        _expect_ok(answer)
        if answer.headers.get("x-amz-server-side-encryption", "AES256") != "AES256":
            return  # with a key of one's own the tag is no hash of the content
        tag = answer.headers.get("ETag", "").strip('"')
        if len(tag) == 32 and tag.isalnum() and tag != hashlib.md5(content, usedforsecurity=False).hexdigest():
            raise UnreachableError("an upload that did not arrive whole")

    def create(self, model: str, filename: str) -> str:
        """Makes what was uploaded a submission; its id. After an UnreachableError nobody knows whether it is one."""
        wanted: dict[str, Any] = {"filename": filename, "modelId": model}
        if self.tournament == SIGNALS:
            return str(self._asked(CREATE_SIGNALS, "createSignalsSubmission", wanted)["id"])
        wanted["tournament"] = self.api.tournament_id
        return str(self._asked(CREATE_CLASSIC, "create_submission", wanted)["id"])

    def scores(self, model: str) -> list[dict[str, Any]]:
        """Of the model's resolved rounds."""
        return list(self._read(lambda: self.api.submission_scores(model, resolved=True)))

    def _asked(self, query: str, field: str, variables: Mapping[str, Any], with_key: bool = True) -> Any:
        """What a query's one field is; UnreachableError where the answer has none."""
        answer = self.api.raw_query(query, variables, authorization=with_key)["data"].get(field)
        if answer is None:
            raise UnreachableError(f"an answer without {field}")
        return answer

    def _read(self, read: Callable[[], Any]) -> Any:
        """What numerapi, or we, read of an answer; UnreachableError where it is not as it should be."""
        try:
            return read()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UnreachableError(f"an answer that cannot be read ({type(error).__name__})") from None


def _expect_ok(answer: Any) -> None:
    """Whatever a store says against it, the way there is tried anew: an address can be too old."""
    if not answer.ok:
        raise UnreachableError(f"HTTP {answer.status_code}")


def _submission(answer: Mapping[str, Any]) -> Submission:
    taken = ("id", "filename", "insertedAt", "round", "status", "errorInfo")
    number = (answer.get("round") or {}).get("number")
    return Submission(
        str(answer["id"]),
        str(answer.get("filename") or ""),
        utc(datetime.fromisoformat(answer["insertedAt"])),
        None if number is None else int(number),
        answer.get("status"),
        answer.get("errorInfo"),
        {key: value for key, value in answer.items() if key not in taken and value is not None},
    )


def numerai(tournament: str, key: Credentials | None, address: str | None, timeout: float) -> Numerai:
    """The client of a tournament; without a key it can ask for rounds and data only.

    With a loopback `address` it is one of the stand-in. InputError where numerapi is not installed.
    """
    try:
        from eraflow.rounds.transport import connected
    except ImportError:
        raise InputError("a round needs numerapi; say pip install 'eraflow[numerai]'.") from None
    return Numerai(tournament, connected(tournament, key, address, timeout))
