"""The search for settings: found, pruned by successive halving, the same by seed, and taken up after a kill."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from eraflow.config import load
from eraflow.config.search import Search
from eraflow.errors import InputError
from eraflow.reporting import best_trial, search_section
from eraflow.search import Study, objective, trials

START = {"learning_rate": 0.5, "max_depth": 7}
SPACE = (
    "search.model=lightgbm",
    "search.space={learning_rate: {low: 0.001, high: 1, log: true}, max_depth: [3, 5, 7]}",
)


def config(**more: object) -> Search:
    settings = {"trials": 24, "folds": 4, "reduction": 2} | more
    return load([], [*SPACE, *(f"search.{key}={value}" for key, value in settings.items())]).search


def worth(settings: Mapping[str, Any], fold: int) -> float:
    """Best at a learning rate of .1 and a depth of 5; folds differ."""
    return -abs(settings["learning_rate"] - 0.1) - 0.3 * (settings["max_depth"] != 5) + 0.1 * fold


def searched(storage: Path, seed: int = 3, **more: object) -> pd.DataFrame:
    Study(config(**more), storage, seed).best(START, worth)
    return trials({"fold-1": storage})


def test_a_part_whose_trials_were_all_refused_is_shown_as_such(tmp_path: Path) -> None:
    def refused(settings: Mapping[str, Any], fold: int) -> float:
        raise InputError("eras 1 to 9 have no 'mmc'")

    with pytest.raises(InputError, match="none of 3 trials could be finished"):
        Study(config(trials=3), tmp_path / "search.sqlite3", 3).best(START, refused)
    found = trials({"fold-1": tmp_path / "search.sqlite3"})

    assert best_trial(found) is None
    (table,) = search_section("lightgbm", found).tables
    (row,) = table.groups[0].rows
    assert [cell.text for cell in row] == ["fold-1", "3", "0", "3", "none", ""]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return searched(tmp_path_factory.mktemp("whole") / "search.sqlite3")


def test_the_best_is_found_and_the_models_own_settings_come_first(tmp_path: Path, whole: pd.DataFrame) -> None:
    best = Study(config(), tmp_path / "search.sqlite3", 3).best(START, worth)

    assert abs(best["learning_rate"] - 0.1) < 0.05
    assert best["max_depth"] == 5
    first = whole.iloc[0]
    assert (first["trial"], first["settings"]) == (1, '{"learning_rate": 0.5, "max_depth": 7}')
    assert first["value"] == pytest.approx(-0.4 - 0.3 + 0.25)
    assert whole["trial"].tolist() == list(range(1, 25))


def test_a_start_outside_the_space_is_drawn_from_it(tmp_path: Path) -> None:
    Study(config(trials=1), tmp_path / "search.sqlite3", 3).best({**START, "max_depth": 4}, worth)

    tried = trials({"fold-1": tmp_path / "search.sqlite3"})["settings"].item()
    assert '"learning_rate": 0.5' in tried
    assert '"max_depth": 4' not in tried


def test_trials_that_are_not_in_the_better_half_after_1_and_2_folds_are_pruned(whole: pd.DataFrame) -> None:
    reached: dict[int, list[float]] = {1: [], 2: []}
    for row in whole.to_dict(orient="records"):
        settings = eval(row["settings"])
        expected = 4
        for rung in (1, 2):
            value = sum(worth(settings, fold) for fold in range(1, rung + 1)) / rung
            reached[rung].append(value)
            better = sorted(reached[rung], reverse=True)[: max(1, len(reached[rung]) // 2)]
            if value < better[-1] - 1e-12:
                expected = rung
                break
        assert row["folds"] == expected
        assert row["state"] == ("complete" if expected == 4 else "pruned")
    assert set(whole["folds"]) == {1, 2, 4}


def test_a_seed_decides_the_trials(tmp_path: Path, whole: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(searched(tmp_path / "same.sqlite3"), whole)
    assert searched(tmp_path / "other.sqlite3", seed=4)["settings"].tolist() != whole["settings"].tolist()


def test_a_finished_search_tries_nothing_more_and_parts_are_apart(tmp_path: Path, whole: pd.DataFrame) -> None:
    storage = tmp_path / "search.sqlite3"
    searched(storage)

    def never(settings: Mapping[str, Any], fold: int) -> float:
        raise AssertionError

    best = Study(config(), storage, 3).best(START, never)
    assert worth(best, 1) == max(worth(eval(text), 1) for text in whole["settings"])
    other = tmp_path / "other.sqlite3"
    Study(config(trials=2), other, 3).best(START, worth)
    assert trials({"fold-1": storage, "final": other})["part"].value_counts().to_dict() == {"fold-1": 24, "final": 2}


KILLED = """
import os, sys
from pathlib import Path
from tests.unit.test_search import START, config, worth
from eraflow.search import Study

left = int(sys.argv[2])

def deadly(settings, fold):
    global left
    left -= 1
    if left < 0:
        os._exit(9)
    with open(sys.argv[3], "a") as log:
        log.write("1")
    return worth(settings, fold)

Study(config(), Path(sys.argv[1]), 3).best(START, deadly)
"""


def test_a_killed_search_goes_on_with_the_fold_it_was_at_and_ends_as_if_it_had_not_been(
    tmp_path: Path, whole: pd.DataFrame
) -> None:
    storage, log = tmp_path / "search.sqlite3", tmp_path / "evaluated"
    here = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    codes = [
        subprocess.run([sys.executable, "-c", KILLED, str(storage), str(calls), str(log)], env=here).returncode
        for calls in (3, 20, 1000)
    ]

    assert codes == [9, 9, 0]
    pd.testing.assert_frame_equal(trials({"fold-1": storage}), whole)
    assert len(log.read_text()) == whole["folds"].sum()  # no fold was evaluated twice


def test_settings_that_cannot_be_fitted_are_a_trial_too(tmp_path: Path) -> None:
    def refusing(settings: Mapping[str, Any], fold: int) -> float:
        if settings["max_depth"] == 7:
            raise InputError("model: too deep.")
        return worth(settings, fold)

    storage = tmp_path / "search.sqlite3"
    best = Study(config(), storage, 3).best(START, refusing)

    assert best["max_depth"] != 7
    found = trials({"fold-1": storage})
    assert len(found) == 24
    assert found["state"].iloc[0] == "refused"

    def never(settings: Mapping[str, Any], fold: int) -> float:
        raise InputError("model: too few rows.")

    with pytest.raises(InputError, match="none of 24 trials could be finished; the last: model: too few rows"):
        Study(config(), tmp_path / "other.sqlite3", 3).best(START, never)


def test_an_objective_is_the_weighted_sum_of_means_over_eras() -> None:
    rows = [(1, "mmc", 0.1), (2, "mmc", 0.3), (1, "turnover", 0.5), (2, "turnover", float("nan"))]
    scores = pd.DataFrame(rows, columns=["era", "metric", "value"])

    assert objective(scores, {"mmc": 2.0, "turnover": -0.1}) == pytest.approx(0.4 - 0.05)
    with pytest.raises(InputError, match="eras 1 to 2 have no 'numerai_corr'"):
        objective(scores, {"numerai_corr": 1.0})


def test_without_searches_there_is_an_empty_frame() -> None:
    assert trials({}).empty
