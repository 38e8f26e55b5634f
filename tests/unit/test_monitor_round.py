"""A round asks the monitor before it sends: broken rows go nowhere, and a monitor that cannot tell stops nothing."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.rounds import CLASSIC, DATE, SIGNALS, SLOT, Scene, scene
from tests.unit.test_champions import ruled

from eraflow.config import Config
from eraflow.locks import locked
from eraflow.monitoring.champions import Champion
from eraflow.monitoring.drift import Reference
from eraflow.monitoring.profile import Profile
from eraflow.monitoring.promotion import Ruling
from eraflow.monitoring.simulated import Universe
from eraflow.outcome import Code, Outcome
from eraflow.pipeline.retraining import retrain
from eraflow.pipeline.submitting import handled
from eraflow.pipeline.watching import FEW, Rows, Watch, reference, referenced
from eraflow.progress import PlainProgress
from eraflow.rounds.sending import World

UNIVERSE = Universe(features=40, rows=300)


@pytest.fixture
def at_round(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        yield made


def watched(made: Scene, tournament: str, change: str) -> None:
    """Gives the run validated eras, and its round rows with a change."""
    draw = np.random.default_rng(1)
    run = made.runs / tournament
    eras = [UNIVERSE.era(draw) for _ in range(40)]
    Reference.of(UNIVERSE.names, UNIVERSE.groups, eras).write(run / "monitor/reference.npz")
    UNIVERSE.era(draw, change).write(run / "rounds" / DATE)


def call(made: Scene, tournament: str, send: bool = True) -> Outcome:
    return made.call(tournament, send=send, ask=Watch(made.config([tournament]), PlainProgress()))


@pytest.mark.parametrize("tournament", [CLASSIC, SIGNALS])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            "lost",
            "10 of 40 features are missing, all of group_0 among them: feature_0, feature_1, feature_2 and 7 more",
        ),
        ("coded", "40 of 40 features have levels of another coding, all of group_0 among them"),
        (
            "halved",
            "there are 150 rows, and none of the newest reference eras had fewer than 300: part of the universe "
            "is missing",
        ),
        ("stuck", "10 of 40 features have one value in all rows, all of group_0 among them"),
    ],
)
def test_a_round_of_broken_rows_is_blocked_before_anything_is_sent(
    at_round: Scene, tournament: str, change: str, reason: str
) -> None:
    watched(at_round, tournament, change)
    found = call(at_round, tournament)

    assert found.code == Code.BLOCKED
    (line,) = found.lines
    assert line.startswith(f"{SLOT[tournament]}: the monitor blocks {tournament}/lightgbm: {reason}")
    assert line.endswith("Look at the data; to send it all the same say --set monitor.enabled=false.")
    assert at_round.held(tournament) == []
    assert at_round.asked("PUT") == 0
    assert at_round.events() == ["refused"]


@pytest.mark.parametrize(
    ("change", "words"),
    [("nothing", "  monitor: ok"), ("shifted", "  monitor: warn: 2 of 40 features have drifted: feature_")],
)
def test_a_round_of_rows_that_are_whole_is_sent_and_told_of(at_round: Scene, change: str, words: str) -> None:
    watched(at_round, CLASSIC, change)
    found = call(at_round, CLASSIC)
    assert found.code == Code.DONE
    assert any(line.startswith(words) for line in found.lines), found.lines
    assert at_round.held(CLASSIC)[0][1] == at_round.content(CLASSIC)


def test_who_will_not_ask_sends_broken_rows_too(at_round: Scene) -> None:
    watched(at_round, CLASSIC, "lost")
    config = at_round.config([CLASSIC])
    idle = config.model_copy(update={"monitor": config.monitor.model_copy(update={"enabled": False})})
    world = World(lambda: at_round.clock.now)
    codes = [
        handled(each, PlainProgress(), False, world=world, ask=Watch(each, PlainProgress())).code
        for each in (config, idle)
    ]
    assert codes == [Code.BLOCKED, Code.DONE]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        ("rounds/2026-11-30/profile.npz", "was predicted without a profile of its rows"),
        ("monitor/reference.npz", "the validated eras of classic are not looked at yet; say jobs/monitor.py"),
    ],
)
def test_a_monitor_that_cannot_tell_stops_nothing(at_round: Scene, spoil: str, why: str) -> None:
    watched(at_round, CLASSIC, "lost")
    file = at_round.runs / CLASSIC / spoil
    file.unlink()
    found = call(at_round, CLASSIC)
    assert found.code == Code.DONE
    assert any("monitor: not asked" in line and why in line for line in found.lines), found.lines
    file.write_bytes(b"cut short")
    (line,) = [line for line in call(at_round, CLASSIC).lines if "monitor" in line]
    assert "monitor: not asked" in line


def test_what_the_monitor_said_of_scores_is_told_and_blocks_nothing(at_round: Scene) -> None:
    watched(at_round, CLASSIC, "nothing")
    said = at_round.folder / "rounds/monitor/monitor.json"
    said.parent.mkdir(parents=True)
    slot = {"level": "retrain", "score_reasons": ["corr20 has fallen"]}
    said.write_text(json.dumps({"slots": {SLOT[CLASSIC]: slot}}))
    found = call(at_round, CLASSIC)
    assert found.code == Code.DONE
    assert "  monitor of its scores: retrain: corr20 has fallen" in found.lines
    said.write_text("{")
    assert call(at_round, CLASSIC, send=False).code == Code.DONE


class Eras:
    """A run's training table, of whose eras it is noted which were looked at."""

    names, families = UNIVERSE.names, UNIVERSE.groups

    def __init__(self) -> None:
        self.looked: list[list[int]] = []

    def profiles(self, eras: Sequence[int]) -> Mapping[int, Profile]:
        self.looked.append(list(eras))
        draw = np.random.default_rng(1)
        return {era: UNIVERSE.era(draw) for era in eras}


@pytest.fixture
def eras(at_round: Scene, monkeypatch: pytest.MonkeyPatch) -> Eras:
    """Classic's run has validated 300 eras, and nobody has looked at them yet."""
    made, file = Eras(), at_round.runs / CLASSIC / "run.json"
    folds = [{"validation": list(range(first, first + 100))} for first in (101, 201, 301)]
    file.write_text(json.dumps(json.loads(file.read_text()) | {"folds": folds}))
    UNIVERSE.era(np.random.default_rng(2)).write(at_round.runs / CLASSIC / "rounds" / DATE)
    monkeypatch.setattr(Rows, "of", lambda *_: made)
    return made


def with_eras(made: Scene, count: int) -> Config:
    config = made.config([CLASSIC])
    return config.model_copy(update={"monitor": config.monitor.model_copy(update={"eras": count})})


def no_spark() -> Any:
    return None  # what is made of it here asks it for nothing


def test_a_round_looks_at_few_eras_before_it_is_sent_and_the_monitors_job_at_all(at_round: Scene, eras: Eras) -> None:
    config = at_round.config([CLASSIC])
    watch = Watch(config, PlainProgress(), no_spark)
    found = [at_round.call(CLASSIC, send=False, ask=watch) for _ in range(2)]

    assert [any("  monitor: ok" in line for line in one.lines) for one in found] == [True, True]
    assert [len(looked) for looked in eras.looked] == [FEW]

    for count, looks in [(100, 2), (100, 2), (50, 3)]:  # anew only where another number is asked for
        assert reference(no_spark(), with_eras(at_round, count), PlainProgress(), CLASSIC).eras == count
        assert len(eras.looked) == looks
    assert any("  monitor: ok" in line for line in at_round.call(CLASSIC, send=False, ask=watch).lines)
    assert len(eras.looked) == 3


def test_a_round_waits_for_nobody_who_looks_at_the_same_eras(at_round: Scene, eras: Eras) -> None:
    config = at_round.config([CLASSIC])
    config = config.model_copy(update={"tables": config.tables.model_copy(update={"wait": 20.0})})
    with locked(at_round.runs / CLASSIC / "monitor", "run.dir"):
        started = time.monotonic()
        found = at_round.call(CLASSIC, send=False, ask=Watch(config, PlainProgress(), no_spark))

    assert time.monotonic() - started < 10
    assert found.code == Code.DONE
    assert any("monitor: not asked" in line and "is in use by" in line for line in found.lines), found.lines
    assert eras.looked == []


def test_a_new_champions_eras_are_looked_at_before_its_first_round(at_round: Scene, eras: Eras) -> None:
    Champion.of(at_round.runs, "main").decide(1, ruled(Ruling.INSTALL, CLASSIC))
    config = at_round.config([CLASSIC])
    idle = config.model_copy(update={"monitor": config.monitor.model_copy(update={"enabled": False})})
    retrain(no_spark, idle, PlainProgress(), install=CLASSIC)
    assert eras.looked == []
    for _ in range(2):
        retrain(no_spark, config, PlainProgress(), install=CLASSIC)
    assert [len(looked) for looked in eras.looked] == [config.monitor.eras]

    found = at_round.call(CLASSIC, send=False, ask=Watch(config, PlainProgress()))
    assert any("  monitor: ok" in line for line in found.lines)
    referenced(no_spark, config, PlainProgress(), "gone")  # which is told, and costs nothing
