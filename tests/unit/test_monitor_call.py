"""A call of the monitor without Spark: what fails costs only itself, and nothing that was found is forgotten."""

import json
import runpy
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.rounds import CLASSIC, DATE, NUMBER, OPENS, SIGNALS, SLOT, Scene, scene

from eraflow import cli
from eraflow.config.submit import Slot
from eraflow.errors import InputError
from eraflow.monitoring import records
from eraflow.monitoring.calibration import overlapping
from eraflow.monitoring.drift import Reference
from eraflow.monitoring.profile import PROFILE
from eraflow.monitoring.simulated import Universe
from eraflow.outcome import Code, Outcome
from eraflow.pipeline.monitoring import monitor
from eraflow.progress import PlainProgress
from eraflow.rounds.ledger import Event, Ledger

UNIVERSE = Universe(features=20, rows=200)
ERAS = 240
OURS, THEIRS = SLOT[CLASSIC], SLOT[SIGNALS]


class Rows:
    """A table that only grows, in memory."""

    kept: dict[str, pd.DataFrame]

    def __init__(self, _: object, __: str, name: str, schema: str, keys: Sequence[str]) -> None:
        self.name, self.keys = name, list(keys)
        self.columns = [field.split()[0] for field in schema.split(", ")]

    def rows(self) -> pd.DataFrame:
        return self.kept.get(self.name, pd.DataFrame(columns=self.columns))

    def add(self, rows: pd.DataFrame) -> int:
        before = self.rows()
        self.kept[self.name] = pd.concat([before, rows] if len(before) else [rows]).drop_duplicates(self.keys)
        return len(self.kept[self.name]) - len(before)


@pytest.fixture
def at_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """Two runs that have predicted a round, each with validated eras; tables in memory."""
    monkeypatch.setattr(Rows, "kept", {}, raising=False)
    monkeypatch.setattr("eraflow.pipeline.monitoring.Appended", Rows)
    with scene(tmp_path) as made:
        for tournament in (CLASSIC, SIGNALS):
            draw, run = np.random.default_rng(1), made.runs / tournament
            eras = [UNIVERSE.era(draw) for _ in range(40)]
            Reference.of(UNIVERSE.names, UNIVERSE.groups, eras).write(run / "monitor/reference.npz")
            UNIVERSE.era(draw).write(run / "rounds" / DATE)
        run = made.runs / CLASSIC
        values = overlapping(np.random.default_rng(2), 1, ERAS, 4)[0] * 0.02 + 0.02
        scores = {"model": "lightgbm", "era": np.arange(1, ERAS + 1), "metric": "numerai_corr", "value": values}
        pd.DataFrame(scores).to_csv(run / "per_era.csv", index=False)
        summary = {"lightgbm": {"numerai_corr": {"eras": ERAS, "effective_eras": ERAS / 4}}}
        (run / "summary.json").write_text(json.dumps(summary))
        yield made


@pytest.fixture
def without_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages have tests of their own, and each takes a second."""
    monkeypatch.setattr("eraflow.pipeline.monitoring.monitored_sections", lambda _: ())


def call(made: Scene, slots: Sequence[str] | None = None, webhook: str | None = None, **more: Slot) -> Outcome:
    config = made.config([CLASSIC, SIGNALS])
    update: dict[str, Any] = {"slots": {**config.submit.slots, **more}, "webhook": webhook}
    config = config.model_copy(update={"submit": config.submit.model_copy(update=update)})
    return monitor(None, config, PlainProgress(), slots, offline=True)  # type: ignore[arg-type]


def said(made: Scene) -> dict[str, Any]:
    return dict(json.loads((made.folder / "rounds/monitor/monitor.json").read_text())["slots"])


def write_turned(made: Scene) -> None:
    """Scores of Classic's slot that are the negative of what validation promises."""
    values = overlapping(np.random.default_rng(3), 1, 400, 20)[0] * 0.02 - 0.03
    made.ledger.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({
        "tournament": CLASSIC, "slot": OURS, "round": np.arange(600, 1000), "name": "canon_corr20", "version": "v1",
        "day": 20, "value": values, "percentile": 0.5, "date": "2026-09-01", "resolved": True, "submission": "x",
    }).to_csv(made.ledger.parent / "scores.csv", index=False)  # fmt: skip


def spoil(made: Scene, tournament: str, change: str) -> None:
    UNIVERSE.era(np.random.default_rng(4), change).write(made.runs / tournament / "rounds" / DATE)


@pytest.mark.usefixtures("without_page")
def test_what_was_found_of_other_slots_stays(at_round: Scene) -> None:
    write_turned(at_round)
    assert call(at_round).code == Code.RETRAIN
    alarm = said(at_round)[OURS]
    assert alarm["level"] == "retrain"
    assert call(at_round, [THEIRS]).code == Code.DONE
    assert said(at_round)[OURS] == alarm
    (at_round.runs / CLASSIC / "summary.json").write_text("{")
    assert call(at_round).code == Code.WARNED
    assert said(at_round)[OURS] == alarm
    gone = at_round.folder / "rounds/monitor/monitor.json"
    gone.write_text(json.dumps({"slots": {**said(at_round), "gone": alarm}}))
    call(at_round)
    assert set(said(at_round)) == {OURS, THEIRS}


@pytest.mark.usefixtures("without_page")
def test_a_level_that_the_webhook_did_not_hear_is_told_again(at_round: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Code] = []
    answers = iter(["submit.webhook was not told (HTTP 500)", None, None])

    def hear(_: str, outcome: Outcome, __: object) -> str | None:
        heard.append(Code(outcome.code))
        return next(answers)

    monkeypatch.setattr("eraflow.pipeline.monitoring.tell", hear)
    for change in ("lost", "lost", "lost", "nothing"):
        spoil(at_round, CLASSIC, change)
        call(at_round, webhook="env:HOOK")
    assert heard == [Code.BLOCKED, Code.BLOCKED, Code.DONE]


@pytest.mark.parametrize("fault", ["reference", "profile", "tables"])
def test_rows_that_cannot_be_looked_at_leave_the_charts_of_scores(
    at_round: Scene, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_turned(at_round)
    run = at_round.runs / CLASSIC
    if fault == "reference":
        (run / "monitor/reference.npz").write_bytes(b"odd")
    elif fault == "profile":
        (run / "rounds" / DATE / PROFILE).write_bytes(b"odd")
    else:

        def failing(*_: object) -> Reference:
            raise ZeroDivisionError("an executor was lost")

        monkeypatch.setattr("eraflow.pipeline.monitoring.reference", failing)
    assert call(at_round).code == Code.RETRAIN
    found = said(at_round)[OURS]
    assert found["score_reasons"][0].startswith("canon_corr20 has fallen off its validation mean")
    words = {"reference": "is no reference of eras", "profile": "is no profile of rows", "tables": "executor was lost"}
    assert "the rows of its newest round cannot be looked at: " in found["reasons"][-1]
    assert words[fault] in found["reasons"][-1]


@pytest.mark.usefixtures("without_page")
def test_an_old_odd_round_is_noted_and_the_others_are_kept(at_round: Scene) -> None:
    newest = at_round.runs / CLASSIC / "rounds" / DATE
    manifest = json.loads((newest / "manifest.json").read_text())
    for day in ("2026-11-26", "2026-11-27"):
        shutil.copytree(newest, newest.parent / day)
        (newest.parent / day / "manifest.json").write_text(json.dumps(manifest | {"date": day}))
    (newest.parent / "2026-11-26" / PROFILE).write_bytes(b"odd")
    (newest.parent / "2026-11-26/predictions/lightgbm.csv").write_bytes(b"odd")
    found = call(at_round, [OURS])
    assert found.lines[0] == f"{OURS}: ok"
    assert "  1 of its rounds cannot be looked at: 2026-11-26: " in "\n".join(found.lines)
    live = Rows.kept[records.LIVE]
    rows = live[live["statistic"] == "rows"]
    assert rows["date"].tolist() == ["2026-11-27", DATE]
    assert call(at_round, [OURS]).lines == found.lines


@pytest.mark.usefixtures("without_page")
def test_a_run_that_is_not_there_or_not_finished_is_told(at_round: Scene) -> None:
    (at_round.runs / "half").mkdir()
    for run in ("gone", "half"):
        found = call(at_round, other=Slot(run=run))
        assert found.code == Code.WARNED
        assert f"other: not looked at: {at_round.runs / run} holds no finished run; finished are " in found.lines[-2]
        shutil.rmtree(at_round.folder / "rounds/monitor")
        with pytest.raises(InputError, match="holds no finished run; finished are classic, signals"):
            call(at_round, ["other"], other=Slot(run=run))
        assert not list(at_round.folder.glob("rounds/monitor/monitor.*"))
    shutil.rmtree(at_round.runs / CLASSIC / "rounds")
    assert call(at_round, [OURS]).code == Code.NOTHING_TO_DO


@pytest.mark.usefixtures("without_page")
def test_a_champion_that_is_not_there_is_told(at_round: Scene) -> None:
    found = call(at_round, mistyped=Slot(run="champion:mian"))
    assert found.code == Code.WARNED
    assert f"{OURS}: ok" in found.lines
    assert [line for line in found.lines if line.startswith("mistyped: not looked at: ")], found.lines


@pytest.mark.usefixtures("without_page")
def test_what_numerai_says_late_is_kept(at_round: Scene) -> None:
    call(at_round, [OURS])
    server = {"prevWeekChurnMax": 0.2, "prevWeekTurnoverMax": 0.1}
    books = Ledger(at_round.folder / "rounds")
    books.add(Event.EFFECTIVE, OPENS, tournament=CLASSIC, slot=OURS, round=NUMBER, coverage=0.9, server=server)
    for _ in range(2):
        call(at_round, [OURS])
    live = Rows.kept[records.LIVE].set_index("statistic")["value"]
    assert live.loc[["coverage", "server_churn", "server_turnover"]].to_dict() == {
        "coverage": 0.9, "server_churn": 0.2, "server_turnover": 0.1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "submit.slots names none; say which model gets what"),
        (["--set", "submit.slots={ours: {run: classic}}", "--slots", "other"], "submit.slots has no such slot"),
    ],
)
def test_a_slot_that_is_not_there_is_told_before_spark_starts(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise AssertionError("Spark was started")

    monkeypatch.setattr(cli, "session", refuse)
    monkeypatch.setattr(cli, "leave", sys.exit)
    monkeypatch.setattr(sys, "argv", ["jobs/monitor.py", *words])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path("jobs/monitor.py", run_name="__main__")
    assert ended.value.code == int(Code.BAD_INPUT)
    assert message in capsys.readouterr().err
