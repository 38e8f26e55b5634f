"""Processes that send a round and are killed for good; and the key, which no file of a whole round holds."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from tests.rounds import CLASSIC, NUMBER, SIGNALS, SLOT, Scene, holding, scene, write_predicted

from eraflow.outcome import Code
from eraflow.rounds.credentials import STAND_IN
from eraflow.rounds.standin import Fault

ROOT = Path(__file__).parents[2]
# The process's own clock stands still in the round; at a point it kills itself, as a machine that goes down would.
SENDER = """
import os, signal, sys, time
from datetime import datetime
from eraflow.config import load
from eraflow.pipeline.submitting import handled
from eraflow.progress import PlainProgress
from eraflow.rounds.sending import World

point, now, settings = sys.argv[1], datetime.fromisoformat(sys.argv[2]), sys.argv[3:]
def at(passed):
    if passed == point:
        os.kill(os.getpid(), signal.SIGKILL)
sys.exit(handled(load([], settings), PlainProgress(), True, world=World(lambda: now, lambda _: None, at)).code)
"""


@pytest.fixture
def at_round(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        yield made


def settings(made: Scene, *tournaments: str) -> list[str]:
    places = [f"run.dir={made.runs}", f"submit.dir={made.folder}/rounds", f"submit.api={made.state.address}"]
    return [*places, *(f"submit.slots.{SLOT[each]}.run={each}" for each in tournaments)]


def sent(made: Scene, tournament: str, point: str) -> int:
    command = [sys.executable, "-c", SENDER, point, made.clock.now.isoformat(), *settings(made, tournament)]
    return subprocess.run(command, cwd=made.folder, capture_output=True, text=True, check=False).returncode


@pytest.mark.parametrize(("tournament", "point"), [(CLASSIC, "uploaded"), (CLASSIC, "created"), (SIGNALS, "read-back")])
def test_a_killed_process_holds_nobody_up_and_nothing_is_sent_twice(
    at_round: Scene, tournament: str, point: str
) -> None:
    assert sent(at_round, tournament, point) == -signal.SIGKILL
    assert at_round.call(tournament).code == Code.DONE
    assert at_round.held(tournament) == [(NUMBER, at_round.content(tournament))]
    assert at_round.call(tournament).code == Code.NOTHING_TO_DO


def test_no_file_of_a_round_holds_the_key(at_round: Scene) -> None:
    """By the job itself, through success, refusal and trouble; and a planted key is found, so that this could fail."""
    public, secret = "ENVIRONMENTPUBLIC", "ENVIRONMENTSECRET"
    environment = {**os.environ, "NUMERAI_PUBLIC_ID": public, "NUMERAI_SECRET_KEY": secret}
    config = [part for each in settings(at_round, CLASSIC, SIGNALS) for part in ("--set", each)]
    # The job looks at the clock of the machine: so does the stand-in.
    at_round.clock.now = datetime.now(UTC)
    at_round.state.rounds.clear()
    for tournament in (CLASSIC, SIGNALS):
        at_round.state.add_round(
            tournament, NUMBER, at_round.clock.now - timedelta(hours=1), at_round.clock.now + timedelta(hours=1),
            "2026-11-30",
        )  # fmt: skip
    nothing = pd.DataFrame({"numerai_ticker": [], "signal": []})
    write_predicted(at_round.runs, "signals", SIGNALS, {"lightgbm": nothing})
    at_round.state.faults.add(Fault("createSubmission", "break"), Fault("PUT", "status", status=500))
    command = [sys.executable, str(ROOT / "jobs/submit.py"), "--send", *config, "--set", "submit.pause=0"]
    done = subprocess.run(command, cwd=at_round.folder, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == Code.BLOCKED, done.stderr
    assert "ours: classic/lightgbm is effective in classic round 1100" in done.stdout
    assert "ours_signals: " in done.stdout
    words = (public, secret, STAND_IN.public_id, STAND_IN.secret_key, "signature=")
    assert not [word for word in words if word in done.stdout + done.stderr]
    assert holding(at_round.folder, *words) == []
    assert not [True for _, arguments, _ in at_round.state.asked if public in json.dumps(arguments)]

    planted = at_round.folder / "rounds/live/planted.parquet"
    planted.write_bytes(b"\0PAR1" + secret.encode() + b"\0")
    assert holding(at_round.folder, *words) == [planted]
