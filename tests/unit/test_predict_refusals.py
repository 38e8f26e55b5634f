"""What no model should predict, and what only looks like it: live files, catalogues, models, settings."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests import predicting
from tests.predicting import FILES, LIVE, OPTIONS, code, rounds

from eraflow import cli, models
from eraflow.errors import InputError
from eraflow.features.missing import refuse_missing
from eraflow.models import Fitted, save
from eraflow.pipeline.predict import config_of_run, predict
from eraflow.sources import classic_synthetic

base, made = predicting.base, predicting.made  # a finished run, and the files of a live round


def rewritten(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    def spoil(base: Path) -> None:
        file = base / "round/live.parquet"
        pq.write_table(change(pq.read_table(file)), file)

    return spoil


def column(name: str | int, values: Callable[[list[Any]], list[Any]], kind: pa.DataType) -> Callable[[Path], None]:
    """Other values in a column of the live file; a number is that of a feature of the models."""

    def change(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(name if isinstance(name, str) else feature(name))
        field = table.schema.names[place]
        return table.set_column(place, field, pa.array(values(table.column(place).to_pylist()), kind))

    return rewritten(change)


def feature(place: int) -> str:
    """The name of a feature of the models, by its place among theirs."""
    names = classic_synthetic.shape(FILES).features
    return (*names[20:], *names[:8])[place]


def catalogue(change: Callable[[dict[str, list[str]]], None]) -> Callable[[Path], None]:
    def spoil(base: Path) -> None:
        file = base / "round/features.json"
        metadata = json.loads(file.read_text())
        change(metadata["feature_sets"])
        file.write_text(json.dumps(metadata))

    return spoil


def without_a_feature(base: Path) -> None:
    def change(sets: dict[str, list[str]]) -> None:
        for name, members in sets.items():
            sets[name] = [member for member in members if member != feature(0)]

    catalogue(change)(base)
    rewritten(lambda table: table.drop_columns([feature(0)]))(base)


def with_another_feature(base: Path) -> None:
    catalogue(lambda sets: sets["all"].append("feature_new"))(base)
    rewritten(lambda table: table.append_column("feature_new", table.column(feature(0))))(base)


def as_floats(table: pa.Table) -> pa.Table:
    for place, name in enumerate(table.schema.names):
        if name.startswith("feature_"):
            quarters = pa.array(table.column(place).to_numpy() / 4.0, pa.float32())
            table = table.set_column(place, name, quarters)
    return table


def about(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """Another model.json of `line`."""

    def spoil(base: Path) -> None:
        file = base / "runs/mine/models/line/final/model.json"
        content = json.loads(file.read_text())
        change(content)
        file.write_text(json.dumps(content))

    return spoil


def reordered(base: Path) -> None:
    """A model of the same features in another order, which describes itself rightly."""
    place = base / "runs/mine/models/trees/final"
    model = models.load(place)
    assert isinstance(model, Fitted)
    save(Fitted(model.inputs[::-1], -1, model.members, 2, LIVE, model.facts), place)


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "no live file": (lambda base: (base / "round/live.parquet").unlink(), "round holds no live.parquet, which"),
    "no rows": (rewritten(lambda table: table.slice(0, 0)), "round/live.parquet has no rows; download it again."),
    "one row": (rewritten(lambda table: table.slice(0, 1)), "live.parquet has 1 rows, too few to rank"),
    "cut short": (
        lambda base: (base / "round/live.parquet").write_bytes((base / "round/live.parquet").read_bytes()[:9_000]),
        "has no readable parquet footer: it is not whole",
    ),
    "an id twice": (rewritten(lambda table: pa.concat_tables([table, table.slice(3, 1)])), "has 2 rows; download it"),
    "no id": (column("id", lambda ids: [None, *ids[1:]], pa.string()), "has a row without an id; download it again."),
    "an era": (
        column("era", lambda eras: ["0101", *eras[1:]], pa.string()),
        "live.parquet holds era '0101', where live rows are of era X",
    ),
    "a kind": (
        column("data_type", lambda kinds: ["test", *kinds[1:]], pa.string()),
        "column 'data_type' holds 'test' in era X; rows of this file are live.",
    ),
    "no level": (
        column(1, lambda levels: [7, *levels[1:]], pa.int8()),
        f"column '{feature(1)}' holds 7 in row group 0, where features are from 0 to 4",
    ),
    "nulls": (
        column(1, lambda levels: [None] * 9 + levels[9:], pa.int8()),
        f"more is missing than in the eras that models learn from: {feature(1)} in 22% (at most 0% before)",
    ),
    "an absent feature": (
        column(2, lambda levels: [2] * len(levels), pa.int8()),
        f"{feature(2)} in 100% (at most 75% before); download the file again",
    ),
    "floats": (rewritten(as_floats), "has features of type float, the other files of int8"),
    "a feature less": (
        without_a_feature,
        f"features.json does not name '{feature(0)}' (1 of the models' 18 features are lacking)",
    ),
    "another catalogue": (with_another_feature, "features.json names 31 features, and not those that there were"),
    "features.json of another version": (
        catalogue(lambda sets: sets["all"].append("feature_new")), "features.json names 31 features, and not those",
    ),
    "a model of other features": (
        about(lambda content: content["inputs"].reverse()), "names other features than the model was saved with",
    ),
    "a model of another order": (reordered, "the model was trained on features in another number or order"),
    "an older model": (
        about(lambda content: content.pop("data")),
        "an earlier version of eraflow saved its models, without what live rows are held to; train the run anew.",
    ),
    "no model": (
        lambda base: shutil.rmtree(base / "runs/mine/models/trees"), "holds no model.json; name the folder of a saved",
    ),
    "a run that is not finished": (
        lambda base: (base / "runs/mine/run.json").unlink(), "runs/mine holds no finished run; train one.",
    ),
    "a run of another version": (
        lambda base: (base / "runs/mine/run.json").write_text('{"config": {}}'), "of another version of eraflow; train",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_model_should_predict_is_refused_and_nothing_is_written(
    case: str, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, sentence = REFUSED[case]
    spoil(base)
    assert code(base, "--date", "2026-11-28") == 2
    printed = capsys.readouterr().err.strip().splitlines()[-1]
    assert printed.startswith("eraflow: ")
    assert sentence in printed
    assert not (base / "runs/mine/rounds").exists()


@pytest.mark.parametrize(
    ("others", "sentence"),
    [
        (("--run", "other"), "runs/other holds no finished run; finished are mine."),
        (("--set", "classic.dataset=v5.2"), "classic.dataset is v5.2, and the run was trained on v5.3"),
        (("--set", "classic.features=all"), "(classic.features was ['small'], is ['all'])"),
        (("--set", "features.ranks=[sector]"), "(features.ranks was ['universe'], is ['sector'])"),
        (("--set", "source=classic_synthetic"), "(source was 'classic', is 'classic_synthetic')"),
        (("--set", "classic.path=elsewhere"), "elsewhere/features.json is not there"),
    ],
)
def test_other_settings_than_the_runs_are_refused_and_other_places_taken(
    others: tuple[str, str], sentence: str, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code(base, *others) == 2
    assert sentence in capsys.readouterr().err
    assert rounds(base) == []


def test_no_run_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.job("", predict, [], OPTIONS, config_of_run, lazily=True) == 2
    assert capsys.readouterr().err == "eraflow: --run is not given: name the finished run whose models predict.\n"


def test_sets_in_another_order_change_nothing(base: Path) -> None:
    assert code(base, "--date", "2026-11-28") == 0
    catalogue(lambda sets: [members.reverse() for members in sets.values()])(base)
    assert code(base, "--date", "2026-11-29") == 0
    first, second = (base / f"runs/mine/rounds/2026-11-{day}/predictions.csv" for day in (28, 29))
    assert first.read_bytes() == second.read_bytes()


def test_a_feature_that_lacked_as_often_before_may_lack(base: Path) -> None:
    column(2, lambda levels: [None] * 33 + levels[33:], pa.int8())(base)  # 82 %, at most 75 before and 10 more
    assert code(base, "--date", "2026-11-28") == 0


def test_the_worst_three_features_are_named() -> None:
    levels = np.array([[-1, -1, -1, -1, 0], [-1, -1, 0, -1, 0]], dtype=np.int8)
    refuse_missing(levels, list("abcde"), -1, dict.fromkeys("abcde", 0.95), "here", "wait")
    with pytest.raises(InputError) as refused:
        refuse_missing(levels, list("abcde"), -1, {"b": 0.5, "d": 0.95}, "here", "wait")
    assert str(refused.value) == (
        "here: more is missing than in the eras that models learn from: a in 100% (at most 0% before), "
        "b in 100% (at most 50% before), c in 50% (at most 0% before); wait."
    )
