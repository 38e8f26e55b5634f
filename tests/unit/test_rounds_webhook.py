"""Who is told of an outcome, and that nothing hangs on it."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.rounds import CLASSIC, frame, scene, write_predicted

from eraflow.outcome import Code, Outcome
from eraflow.rounds.webhook import tell

DONE = Outcome(Code.DONE, ("ours: sent",))


class Hook:
    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.status = 200
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_address[1]}/SECRETPATH"


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    thread = threading.Thread(target=made.http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


def test_an_outcome_is_told_in_words_and_numbers(hook: Hook) -> None:
    assert tell("env:HOOK", DONE, {"HOOK": hook.address}) is None
    assert tell("env:HOOK", Outcome(Code.TOO_LATE, ()), {"HOOK": hook.address}) is None
    assert hook.heard == [
        {"text": "eraflow: done\nours: sent", "code": 0, "outcome": "done"},
        {"text": "eraflow: too late", "code": 4, "outcome": "too late"},
    ]


def test_what_goes_wrong_is_told_without_the_address(hook: Hook) -> None:
    hook.status = 404
    assert tell("env:HOOK", DONE, {"HOOK": hook.address}) == "submit.webhook was not told (HTTP 404)"
    nobody = {"HOOK": "http://127.0.0.1:9/SECRETPATH"}
    assert tell("env:HOOK", DONE, nobody) == "submit.webhook was not told (ConnectionError)"
    assert tell("env:HOOK", DONE, {}) == "submit.webhook: the environment has no HOOK"


def test_a_call_tells_of_what_it_sent_and_not_that_there_is_nothing_to_do(
    hook: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", hook.address)
    with scene(tmp_path) as made:
        for _ in range(2):
            made.call(CLASSIC, "submit.webhook=env:HOOK")
        made.call(CLASSIC, "submit.webhook=env:HOOK", send=False)
        assert b"SECRETPATH" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    (message,) = hook.heard
    assert message["outcome"] == "done"
    assert "ours: classic/lightgbm is effective in classic round 1100" in message["text"]


def test_what_stays_blocked_is_told_once(hook: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", hook.address)
    with scene(tmp_path) as made:
        for rows in (1, 1, 2):
            write_predicted(made.runs, "classic", CLASSIC, {"lightgbm": frame(CLASSIC).iloc[rows:]})
            made.call(CLASSIC, "submit.webhook=env:HOOK")
    assert [message["text"].partition(" lacks ")[2][:8] for message in hook.heard] == ["1 of the", "2 of the"]
