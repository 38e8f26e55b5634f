"""Scores of resolved rounds: a table that grows, and ours beside Numerai's."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numerai_tools.scoring import numerai_corr
from tests.rounds import CLASSIC, NUMBER, ROWS, SIGNALS, Scene, frame, names, scene

from eraflow.outcome import Code
from eraflow.pipeline.submitting import scores
from eraflow.progress import PlainProgress
from eraflow.rounds.standin import Fault

BLANK = dict.fromkeys(
    [
        "roundId",
        "submissionId",
        "roundNumber",
        "roundResolveTime",
        "roundScoreTime",
        "roundCloseStakingTime",
        "value",
        "percentile",
        "displayName",
        "version",
        "date",
        "day",
        "resolveDate",
        "resolved",
    ]
)


@pytest.fixture
def sent(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        made.call(CLASSIC)
        yield made


def resolve(
    made: Scene, number: int, value: float, name: str = "canon_corr20", resolved: bool = True, version: str = "v1",
    of: str = CLASSIC,
) -> None:  # fmt: skip
    score = {"modelId": made.models[of], "roundNumber": number, "value": value, "percentile": 0.5, "day": 20,
            "displayName": name, "version": version, "resolved": resolved, "date": "2027-01-04T00:00:00Z"}  # fmt: skip
    made.state.scores.append(BLANK | score)


def fetched(made: Scene, classic: Path | None = None) -> tuple[int, tuple[str, ...]]:
    config = made.config([CLASSIC])
    config = config.model_copy(update={"classic": config.classic.model_copy(update={"path": classic and str(classic)})})
    found = scores(None, config, PlainProgress())
    return found.code, found.lines


def test_resolved_scores_are_kept_once(sent: Scene) -> None:
    resolve(sent, NUMBER, 0.02)
    resolve(sent, NUMBER, 0.01, "canon_mmc20")
    resolve(sent, NUMBER + 1, 0.5, resolved=False)
    for _ in range(2):
        code, (line,) = fetched(sent)
        assert (code, line.partition(":")[0]) == (Code.DONE, "2 scores of 1 rounds")
    sent.state.scores.clear()
    resolve(sent, NUMBER + 2, 0.03)
    fetched(sent)
    table = pd.read_csv(sent.folder / "rounds/scores.csv")
    assert table[["slot", "round", "name", "value"]].values.tolist() == [
        ["ours", NUMBER, "canon_corr20", 0.02],
        ["ours", NUMBER, "canon_mmc20", 0.01],
        ["ours", NUMBER + 2, "canon_corr20", 0.03],
    ]


def test_a_model_that_numerai_tells_nothing_of_costs_no_other(sent: Scene) -> None:
    sent.call(SIGNALS)
    resolve(sent, NUMBER, 0.02)
    sent.state.faults.add(Fault("submissionScores", "errors", message="Model not found."))
    resolve(sent, NUMBER, 0.03, of=SIGNALS)
    code, lines = fetched(sent)
    assert (code, lines[0]) == (
        Code.FAILED, "ours: Numerai gives no scores (Model not found.); the same command tries again",
    )  # fmt: skip
    assert pd.read_csv(sent.folder / "rounds/scores.csv")["slot"].tolist() == ["ours_signals"]


def test_a_slot_and_a_version_stay_words(sent: Scene) -> None:
    resolve(sent, NUMBER, 0.02, version="1")
    for _ in range(2):
        assert fetched(sent)[1][0].startswith("1 scores of 1 rounds")


def test_ours_stand_beside_numerais_once_the_rows_are_back(sent: Scene, tmp_path: Path) -> None:
    target = pd.Series(
        np.random.default_rng(1).choice([0, 0.25, 0.5, 0.75, 1], ROWS), index=names(CLASSIC), name="target"
    )
    ours = float(numerai_corr(frame(CLASSIC).set_index("id"), target).iloc[0])
    resolve(sent, NUMBER, ours + 0.001)
    folder = tmp_path / "numerai"
    folder.mkdir()

    earlier = pd.DataFrame({"id": names(CLASSIC, 1095), "era": "1299", "target_ender_20": 0.5})
    earlier.to_parquet(folder / "validation.parquet", index=False)
    assert fetched(sent, folder)[1][1].startswith("0 of them scored here too")

    back = pd.DataFrame({"id": target.index, "era": "1300", "target_ender_20": target.to_numpy()})
    pd.concat([earlier, back]).to_parquet(folder / "validation.parquet", index=False)
    for _ in range(2):
        assert fetched(sent, folder)[1][1].startswith("1 of them scored here too, at most 0.001 apart")
    table = pd.read_csv(sent.folder / "rounds/scores_compared.csv")
    assert table[["slot", "round", "name"]].values.tolist() == [["ours", NUMBER, "canon_corr20"]]
    assert table["ours"].tolist() == pytest.approx([ours])


def test_before_anything_was_sent_there_is_nothing_to_ask_for(tmp_path: Path) -> None:
    with scene(tmp_path) as made:
        assert fetched(made)[0] == Code.NOTHING_TO_DO
        assert made.asked("submissionScores") == 0
