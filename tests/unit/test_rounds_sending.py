"""Sendings that are killed, time out, meet another one or the round's close: effective once, or not sent at all."""

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.rounds import (
    CLASSIC,
    CLOSES,
    KIND,
    NUMBER,
    SIGNALS,
    Halted,
    Killed,
    Scene,
    frame,
    killing,
    names,
    scene,
    write_predicted,
)

from eraflow.errors import InputError
from eraflow.outcome import Code, Outcome
from eraflow.pipeline.submitting import handled
from eraflow.progress import PlainProgress
from eraflow.rounds.live import LiveFiles
from eraflow.rounds.sending import POINTS, World
from eraflow.rounds.standin import Fault

CREATE = {CLASSIC: "createSubmission", SIGNALS: "createSignalsSubmission"}
MADE = POINTS.index("created")  # from here on the server has the submission
ENDED = (Code.DONE, Code.NOTHING_TO_DO)


@pytest.fixture
def round_at(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        yield made


def is_effective_once(made: Scene, tournament: str) -> bool:
    return made.held(tournament) == [(NUMBER, made.content(tournament))]


def test_a_file_is_sent_once_and_told(round_at: Scene) -> None:
    first = round_at.call(CLASSIC)
    assert first.code == Code.DONE
    assert first.lines[0].startswith("ours: classic/lightgbm is effective in classic round 1100 (")
    assert round_at.events() == ["sending", "created", "effective"]

    again = round_at.call(CLASSIC)
    assert (again.code, again.lines[0]) == (3, "ours: classic round 1100 has classic/lightgbm already")
    assert is_effective_once(round_at, CLASSIC)
    assert round_at.events() == ["sending", "created", "effective"]


def test_nothing_is_sent_without_being_asked_for(round_at: Scene) -> None:
    found = round_at.call(CLASSIC, send=False)
    assert (found.code, round_at.held(CLASSIC), round_at.events()) == (Code.DONE, [], [])
    assert found.lines[0] == "ours: classic/lightgbm may be sent to classic round 1100; --send sends it"
    assert not any(with_key for _, _, with_key in round_at.state.asked)


def test_every_point_is_passed_in_its_order(round_at: Scene) -> None:
    passed: list[str] = []
    round_at.call(SIGNALS, at=passed.append)
    assert tuple(passed) == POINTS


@pytest.mark.parametrize("tournament", [CLASSIC, SIGNALS])
@pytest.mark.parametrize("point", POINTS)
class TestKilledAt:
    def test_and_called_again(self, round_at: Scene, tournament: str, point: str) -> None:
        with pytest.raises(Killed):
            round_at.call(tournament, at=killing(point))
        assert len(round_at.held(tournament)) == (POINTS.index(point) >= MADE)

        assert round_at.call(tournament).code == Code.DONE
        assert is_effective_once(round_at, tournament)
        assert round_at.call(tournament).code == Code.NOTHING_TO_DO

    def test_and_called_again_with_a_time_out_after_the_upload(
        self, round_at: Scene, tournament: str, point: str
    ) -> None:
        round_at.state.faults.add(Fault(CREATE[tournament], "act-then-hang", seconds=2.5))
        if point in ("created", "told-created"):  # the answer is lost: the next attempt finds what was made
            assert round_at.call(tournament, "submit.timeout=1", at=killing(point)).code == Code.DONE
        else:
            with pytest.raises(Killed):
                round_at.call(tournament, "submit.timeout=1", at=killing(point))

        assert round_at.call(tournament, "submit.timeout=1").code in ENDED
        assert is_effective_once(round_at, tournament)

    def test_while_another_one_is_called(self, round_at: Scene, tournament: str, point: str) -> None:
        first = Halted(point, lambda at: round_at.call(tournament, at=at))
        first.start()
        before = len(round_at.held(tournament))
        busy = round_at.call(tournament)
        assert (busy.code, len(round_at.held(tournament))) == (Code.NOTHING_TO_DO, before)
        assert "another call is at work" in busy.lines[0]
        first.end(dies=True)

        assert round_at.call(tournament).code == Code.DONE
        assert is_effective_once(round_at, tournament)

    def test_and_called_again_after_the_close(self, round_at: Scene, tournament: str, point: str) -> None:
        with pytest.raises(Killed):
            round_at.call(tournament, at=killing(point))
        round_at.clock.now = CLOSES + timedelta(minutes=1)
        found = round_at.call(tournament)

        if POINTS.index(point) >= MADE:
            assert found.code == Code.DONE
            assert is_effective_once(round_at, tournament)
        else:
            assert found.code == Code.TOO_LATE
            assert round_at.held(tournament) == []
            assert round_at.events()[-1] == "missed"
        assert round_at.call(tournament).code == Code.NOTHING_TO_DO

    def test_not_but_the_close_has_passed(self, round_at: Scene, tournament: str, point: str) -> None:
        def at(passed: str) -> None:
            if passed == point:
                round_at.clock.now = CLOSES + timedelta(seconds=1)

        found = round_at.call(tournament, at=at)
        if POINTS.index(point) < POINTS.index("close-looked-at"):
            assert (found.code, round_at.held(tournament)) == (Code.TOO_LATE, [])
        elif point == "close-looked-at":  # the server takes it for the next round, and that is told
            assert (found.code, round_at.held(tournament)[0][0]) == (Code.TOO_LATE, NUMBER + 1)
            assert round_at.events()[-1] == "queued"
        else:
            assert found.code == Code.DONE
            assert is_effective_once(round_at, tournament)

    def test_not_but_one_elsewhere_is_done_first(self, round_at: Scene, tournament: str, point: str) -> None:
        first = Halted(point, lambda at: round_at.call(tournament, at=at))
        first.start()
        elsewhere = round_at.call(tournament, f"submit.dir={round_at.folder}/elsewhere")
        assert elsewhere.code == Code.DONE
        first.end(dies=False)

        assert first.outcome is not None
        assert first.outcome.code in ENDED
        held = round_at.held(tournament)  # books that are not shared may send the same file twice, and no other
        assert set(held) == {(NUMBER, round_at.content(tournament))}
        assert len(held) <= 2


@pytest.mark.parametrize(
    "fault",
    [
        Fault("rounds", "status", status=503),
        Fault("submissions", "noise"),
        Fault("submissions", "status", times=2, status=429),
        Fault("submissionUploadAuth", "break"),
        Fault("PUT", "status", status=403),
        Fault("PUT", "break"),
        Fault("PUT", "act-then-status", status=500),
        Fault("createSubmission", "status", status=500),
        Fault("createSubmission", "break"),
        Fault("createSubmission", "act-then-break"),
        Fault("createSubmission", "act-then-status", status=502),
        Fault("createSubmission", "null"),
        Fault("createSubmission", "slow", seconds=0.1),
    ],
    ids=lambda fault: f"{fault.on}-{fault.kind}",
)
def test_trouble_in_one_call_is_overcome_by_it(round_at: Scene, fault: Fault) -> None:
    round_at.call(CLASSIC, send=False)  # the live files are here: what comes now is the sending's
    if fault.on == "rounds":
        round_at.state.faults.add(Fault("account", "slow"))
    round_at.state.faults.add(fault)
    found = round_at.call(CLASSIC)
    if fault.on == "rounds":  # the first look at the round
        assert found.code == Code.FAILED
        found = round_at.call(CLASSIC)
    assert found.code == Code.DONE
    assert is_effective_once(round_at, CLASSIC)


@pytest.mark.parametrize("kind", ["lose", "half"])
def test_an_upload_that_was_lost_is_noticed_and_made_again(round_at: Scene, kind: str) -> None:
    round_at.state.faults.add(Fault("PUT", kind))  # type: ignore[arg-type]
    found = round_at.call(CLASSIC)
    assert found.code == Code.DONE
    assert round_at.state.effective(round_at.models[CLASSIC], NUMBER) == round_at.content(CLASSIC)
    assert round_at.asked("PUT") == 2


def test_a_submission_without_a_round_yet_is_waited_for_though_its_answer_was_lost(round_at: Scene) -> None:
    held = round_at.state.submissions
    round_at.state.faults.add(Fault("createSubmission", "act-then-break"))

    def at(passed: str) -> None:
        if passed == "round-known" and held:
            held[0]["round"] = None

    def sleep(seconds: float) -> None:
        round_at.clock.now += timedelta(seconds=seconds)
        if held and held[0]["round"] is None:
            held[0]["round"] = {"number": NUMBER, "tournament": 8}

    round_at.clock.sleep = sleep  # type: ignore[method-assign]
    assert round_at.call(CLASSIC, at=at).code == Code.DONE
    assert round_at.asked("createSubmission") == 1
    assert is_effective_once(round_at, CLASSIC)


def test_a_server_that_holds_something_else_is_sent_one_file_a_call(round_at: Scene) -> None:
    def at(passed: str) -> None:
        if passed == "created":
            round_at.state.submissions[-1]["content"] = frame(CLASSIC, seed=9).to_csv(index=False).encode()

    found = round_at.call(CLASSIC, at=at)
    assert (found.code, round_at.asked("createSubmission")) == (Code.FAILED, 1)
    assert "Numerai has taken the file otherwise than it was sent" in found.lines[0]


def test_a_server_that_stays_in_trouble_is_told_and_left(round_at: Scene) -> None:
    round_at.state.faults.add(Fault("createSubmission", "status", times=99, status=500))
    found = round_at.call(CLASSIC)
    assert found.code == Code.FAILED
    assert found.lines[0] == (
        "ours: Numerai is in trouble (HTTP 500) after 4 attempts; the same command looks at what it holds and goes on"
    )
    assert round_at.asked("createSubmission") == 4  # and not three times as many
    round_at.state.faults.clear()
    assert round_at.call(CLASSIC).code == Code.DONE
    assert is_effective_once(round_at, CLASSIC)


def test_what_the_server_refuses_is_blocked_and_not_tried_again(round_at: Scene) -> None:
    round_at.state.faults.add(Fault("createSubmission", "errors", message="You do not own this model."))
    found = round_at.call(CLASSIC)
    assert found.code == Code.BLOCKED
    assert found.lines[0] == "ours: Numerai refuses the file for classic round 1100: You do not own this model."
    assert round_at.asked("createSubmission") == 1


def test_a_file_that_the_server_has_read_and_refused_is_not_uploaded_again(round_at: Scene) -> None:
    round_at.state.universes[KIND[CLASSIC], NUMBER] = frozenset((*names(CLASSIC), "an id that no file has"))
    said = "ours: Numerai refuses the file for classic round 1100: invalid_submission_ids"
    for way_out in ("", *["; it is not uploaded again: predict anew, or send it by hand"] * 2):
        found = round_at.call(CLASSIC)
        assert (found.code, found.lines[0]) == (Code.BLOCKED, said + way_out)
    assert (round_at.asked("createSubmission"), round_at.asked("PUT")) == (1, 1)
    round_at.state.universes.clear()
    other = frame(CLASSIC, seed=2)
    write_predicted(round_at.runs, "classic", CLASSIC, {"lightgbm": other})
    assert round_at.call(CLASSIC).code == Code.DONE


def test_a_late_file_is_queued_where_that_is_asked_for(round_at: Scene) -> None:
    round_at.clock.now = CLOSES + timedelta(minutes=1)
    found = round_at.call(CLASSIC, "submit.queue=true")
    assert found.code == Code.DONE
    assert "Numerai has classic/lightgbm for round 1101" in found.lines[0]
    assert round_at.call(CLASSIC, "submit.queue=true").code == Code.NOTHING_TO_DO
    assert [number for number, _ in round_at.held(CLASSIC)] == [NUMBER + 1]


def test_another_prediction_replaces_what_was_sent(round_at: Scene) -> None:
    round_at.call(CLASSIC)
    other = frame(CLASSIC, seed=2)
    write_predicted(round_at.runs, "classic", CLASSIC, {"lightgbm": other})
    assert round_at.call(CLASSIC).code == Code.DONE
    assert round_at.state.effective(round_at.models[CLASSIC], NUMBER) == other.to_csv(index=False).encode()


def test_lost_books_send_nothing_twice(round_at: Scene) -> None:
    round_at.call(CLASSIC)
    round_at.ledger.unlink()
    found = round_at.call(CLASSIC)
    assert found.code == Code.DONE
    assert "was found effective" in found.lines[0]
    assert is_effective_once(round_at, CLASSIC)


def test_without_an_open_round_there_is_nothing_to_do(round_at: Scene) -> None:
    round_at.clock.now -= timedelta(days=1)
    assert round_at.call(CLASSIC).code == Code.NOTHING_TO_DO
    round_at.state.faults.add(Fault("rounds", "errors", message="Current round not open for submissions"))
    assert round_at.call(CLASSIC).lines == ("classic: no round is open",)


class Predicting:
    """Predicts as the job does: the folder of the round is there afterwards."""

    def __init__(self, made: Scene, broken: str = "") -> None:
        self.made, self.broken = made, broken
        self.runs: list[tuple[str, int, str]] = []

    def __call__(self, run: str, live: LiveFiles) -> None:
        self.runs.append((run, live.round.number, live.version))
        if run == self.broken:
            raise InputError(f"run {run} was trained on other features.")
        write_predicted(self.made.runs, run, live.round.tournament, {"lightgbm": frame(live.round.tournament)})


def both(made: Scene, predicting: Predicting, *settings: str) -> Outcome:
    world = World(lambda: made.clock.now, made.clock.sleep)
    config = made.config([CLASSIC, SIGNALS], *settings)
    return handled(config, PlainProgress(), True, predict=predicting, world=world)


def test_runs_predict_what_they_have_not_and_what_is_sent_is_not_predicted_again(round_at: Scene) -> None:
    shutil.rmtree(round_at.runs / "classic/rounds")
    predicting = Predicting(round_at)
    assert both(round_at, predicting).code == Code.DONE
    assert predicting.runs == [("classic", NUMBER, "v5.3")]
    assert both(round_at, predicting).code == Code.NOTHING_TO_DO
    assert len(predicting.runs) == 1
    assert is_effective_once(round_at, CLASSIC)
    assert is_effective_once(round_at, SIGNALS)


def test_a_run_that_cannot_predict_costs_its_own_slot_only(round_at: Scene) -> None:
    shutil.rmtree(round_at.runs / "classic/rounds")
    found = both(round_at, Predicting(round_at, broken="classic"))
    assert found.code == Code.BLOCKED
    assert found.lines[0] == "ours: run classic was trained on other features."
    assert round_at.held(CLASSIC) == []
    assert is_effective_once(round_at, SIGNALS)


def test_a_predecessor_that_cannot_predict_costs_no_slot(round_at: Scene) -> None:
    found = both(
        round_at, Predicting(round_at, broken="older"), "submit.slots={ours: {run: classic, predecessor: older}}"
    )
    assert found.code == Code.DONE
    assert "  predecessor older: run older was trained on other features." in found.lines
    assert is_effective_once(round_at, CLASSIC)


def test_a_model_that_a_run_has_got_since_is_predicted(round_at: Scene) -> None:
    slots = "submit.slots={ours: {run: classic, prediction: blend}}"
    predicting = Predicting(round_at)
    assert both(round_at, predicting, slots).code == Code.BLOCKED
    assert predicting.runs == []  # the run has no such model
    model = round_at.runs / "classic/models/blend/final/model.json"
    model.parent.mkdir(parents=True)
    model.write_text("{}")
    both(round_at, predicting, slots)
    assert predicting.runs == [("classic", NUMBER, "v5.3")]


def test_nothing_is_brought_or_predicted_after_the_close(round_at: Scene) -> None:
    shutil.rmtree(round_at.runs / "classic/rounds")
    round_at.clock.now = CLOSES + timedelta(hours=1)
    predicting = Predicting(round_at)
    assert [both(round_at, predicting).code for _ in range(2)] == [Code.TOO_LATE, Code.NOTHING_TO_DO]
    assert (predicting.runs, round_at.asked("dataset")) == ([], 0)


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (Fault("account", "status", status=403), Code.BLOCKED, "classic: Numerai refuses: HTTP 403"),
        (Fault("account", "errors", message="Bad key."), Code.BLOCKED, "classic: Numerai refuses: Bad key."),
        (Fault("account", "null"), Code.FAILED, "an answer that cannot be read (TypeError)"),
        (Fault("rounds", "noise"), Code.FAILED, "an answer that is no JSON with data"),
        (
            Fault("rounds", "break"),
            Code.FAILED,
            "classic: Numerai is in trouble (ConnectionError); the same command tries",
        ),
        (Fault("listDatasets", "status", status=429), Code.FAILED, "HTTP 429"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_trouble_before_a_sending_is_told(round_at: Scene, fault: Fault, code: Code, words: str) -> None:
    round_at.state.faults.add(fault)
    found = round_at.call(CLASSIC)
    assert found.code == code
    assert words in found.lines[0]
    assert round_at.held(CLASSIC) == []
    assert round_at.call(CLASSIC).code == Code.DONE


def test_the_books_say_what_the_round_pays(round_at: Scene) -> None:
    round_at.call(CLASSIC)
    last = json.loads(round_at.ledger.read_text().splitlines()[-1])
    assert [(pay["name"], pay["multiplier"], pay["clip"]) for pay in last["pays"]] == [
        ("canon_corr20", 0.75, 0.05),
        ("canon_mmc20", 2.25, 0.05),
    ]
