"""The commands of README and docs, one after another as a reader types them, in one place, on small data.

They run in the tests' own session. `tests/documented.py` says which of them run where.
"""

import json
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from tests.documented import ROOT, SMALL, SOAK, Command, commands, tier

from eraflow import cli
from eraflow.sources.synthetic import sector_prices

PRICES, LONG_PRICES = "prices.parquet", "longer.parquet"
FOREIGN = "mine.csv"
# What makes a command small: its own settings come first, so these win, and no more than they must.
LEARNED = (
    "targets.horizons=[20]", "kinds.lightgbm.trees=10", "kinds.random_forest.trees=10",
    "kinds.lightgbm.min_data_in_leaf=20",
    "validation.min_train_eras=20", "explain.eras=6", "explain.rows=200", "search.trials=2", "search.folds=2",
    "search.min_train_eras=8", "network.look_backs=[252]", "features.engine=kernels",
)  # fmt: skip
UNIVERSE = ("synthetic.days=360", "synthetic.sectors=3", "synthetic.tickers_per_sector=40", "validation.folds=2")
LONGER = ("synthetic.days=750",)  # a graph needs a year of features that need a year, and a holdout of 52 eras a past
# The first fold learns from some eras that have a graph, and from some beside the 52 that end a network's fit.
GRAPHS = ("validation.min_train_eras=115",)
CLASSIC = (
    "classic_synthetic.train_eras=60", "classic_synthetic.validation_eras=30", "classic_synthetic.rows_per_era=200",
    "classic_synthetic.features=60", "validation.folds=2",
)  # fmt: skip
DEMO = Command("README.md", ("python", "jobs/train.py"))  # what `make run` starts


def chosen(where: str) -> list[Command]:
    """Each command of a tier once, in the order of the pages, after those that others rely on.

    `make run` is of each tier: others repeat, report and compare its run.
    """
    first = [command for command in commands() if command.text == "make run"]
    found = dict.fromkeys(each.words for each in [*first, *(each for each in commands() if tier(each) == where)])
    order = {"train": 1, "prune": 3}
    return sorted((Command("", words) for words in found),
                  key=lambda each: 0 if each.text == "make run" else order.get(each.job or "", 2))  # fmt: skip


def small(command: Command, place: Path) -> tuple[str, ...]:
    """The settings that keep a command small, and its tables in `place`: the session's Java was started elsewhere."""
    if command.job == "round_demo":
        base = f"{place}/var/round-demo"
        return (f"tables.root={base}/tables", f"run.dir={base}/runs", f"submit.dir={base}/rounds")
    if command.job not in ("train", "features", "report", "prune") or "--runs" in command.words:
        return ()
    named = (name for name in ("signals", "classic-synthetic", "network") if f"/{name}.yml" in command.text)
    kind = next(named, "demo")
    places = (f"tables.root={place}/var/tables/{kind}",)
    if "--repeat" in command.words:
        return places
    graphs = GRAPHS if "network.yml" in command.text or "all-models.yml" in command.text else ()
    if kind == "signals":
        return (*places, *LEARNED, "validation.period=20", *graphs)
    if kind == "classic-synthetic":
        return (*places, *LEARNED, *CLASSIC, f"classic.path={place}/var/classic-synthetic")
    longer = LONGER if graphs or "holdout" in command.text else ()
    return (*places, *LEARNED, *UNIVERSE, *longer, *graphs)


@pytest.fixture(scope="module")
def place(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkout as a reader has it, with a file of prices of the reader's own."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("conf", "jobs"):
        (folder / name).symlink_to(ROOT / name)
    for file, days in ((PRICES, 360), (LONG_PRICES, 750)):
        shape = {"sectors": 3, "tickers_per_sector": 40, "days": days, "start": "2018-01-02", "seed": 7}
        sectors = [sector_prices(each, **shape, momentum=0.1, network=0.1) for each in range(3)]
        pd.concat(sectors).to_parquet(folder / file, index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(cli, "leave", sys.exit)
        yield folder


def code_of(command: Command, place: Path, patch: pytest.MonkeyPatch) -> int:
    """The exit code of a command whose placeholders stand for the reader's own files."""
    started = DEMO if command.text == "make run" else command
    files = {"FILE": LONG_PRICES if "network.yml" in command.text else PRICES, "FOLDER": "exported", FOREIGN: FOREIGN}
    named = re.compile("|".join(rf"\b{re.escape(word)}\b" for word in files))
    words = [named.sub(lambda found: str(place / files[found[0]]), word) for word in started.arguments]
    words += [word for setting in small(started, place) for word in ("--set", setting)]
    patch.setattr(sys, "argv", [f"jobs/{started.job}.py", *words])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "jobs" / f"{started.job}.py"), run_name="__main__")
    return int(ended.value.code or 0)


def prepared(command: Command, place: Path) -> None:
    """What a reader has beside the command: another model's predictions."""
    if FOREIGN in command.words and not (place / FOREIGN).exists():
        rows = pd.read_parquet(place / "var/runs/demo/oof.parquet")
        rows[["id", "era", "prediction"]].to_csv(place / FOREIGN, index=False)


def cases(where: str, mark: pytest.MarkDecorator) -> list[object]:
    return [pytest.param(each, marks=mark, id=each.text) for each in chosen(where)]


@pytest.mark.parametrize("command", [*cases(SMALL, pytest.mark.slow), *cases(SOAK, pytest.mark.soak)])
def test_a_documented_command(
    command: Command, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if command.text == "make round-demo":
        command = Command("", ("python", "jobs/round_demo.py", "--config", "conf/round-demo.yml"))
    if "all-models" in command.text:
        pytest.importorskip("torch")
    prepared(command, place)

    code = code_of(command, place, monkeypatch)

    out, err = capsys.readouterr()
    assert code == (2 if "tres=" in command.text else 0), f"{out}\n{err}"
    named = next((word for word in command.words if word.startswith("run.name=")), "")
    if command.job == "train" and named:
        assert json.loads((place / "var/runs" / named.partition("=")[2] / "summary.json").read_text())
