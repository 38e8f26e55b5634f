"""What each change of a run fits anew, and that stopped and simultaneous runs end as undisturbed ones."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.fault.test_resume import stop, submitted, wait_for
from tests.integration.test_train_job import assert_same_run
from tests.spark.test_incremental import Notes
from tests.spark.test_steps import DAYS, universe

from eraflow.config import Config, load
from eraflow.models.linear import LinearModel
from eraflow.pipeline import signals_steps
from eraflow.pipeline.cells import Cells
from eraflow.pipeline.fitting import Fitting
from eraflow.pipeline.run import splitter
from eraflow.pipeline.signals import Signals
from eraflow.pipeline.site import Site
from eraflow.pipeline.steps import Versions
from eraflow.pipeline.train import train
from eraflow.tables import Store

pytestmark = pytest.mark.slow

WEEK, FOLDS = 5, 4
SETTINGS = ("features.set=momentum", "targets.horizons=[5, 20]", "targets.main=target_neutral_5",
            "validation.period=15", "validation.min_train_eras=10", "models={lightgbm: {kind: linear}}",
            "features.traded_money=always")  # fmt: skip
LONGER = "models.longer={kind: linear, targets: [target_neutral_20]}"


class Root:
    """One folder of tables and runs over one price file."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark, self.folder = spark, folder

    def prices(self, days: int) -> None:
        universe(days).to_parquet(self.folder / "prices.parquet")

    def settings(self, *settings: str, runs: str = "runs") -> list[str]:
        places = (f"prices.path={self.folder}/prices.parquet", f"tables.root={self.folder}/tables")
        return [*SETTINGS, *places, f"run.dir={self.folder}/{runs}", *settings]

    def config(self, *settings: str, runs: str = "runs") -> Config:
        return load(["signals.yml"], self.settings(*settings, runs=runs))

    def arguments(self, *settings: str) -> list[str]:
        """The same, of a job."""
        return [
            "--config",
            "conf/signals.yml",
            *(word for text in self.settings(*settings) for word in ("--set", text)),
        ]

    def tables(self) -> Versions:
        """Brought up to date."""
        config = self.config(LONGER)
        return signals_steps.tables(Site(Store(self.spark, config.tables.root), config, Notes()))

    def keys(self, tables: Versions, *settings: str) -> dict[str, str]:
        """By model and part the key of its fit, as a run of these settings on these tables has them."""
        config = self.config(*settings)
        data = Signals(Store(self.spark, config.tables.root), config, tables)
        fitting = Fitting(config, data, Cells(self.folder, Notes()))
        found = {}
        for name, model in config.models.items():
            for fold in splitter(config).split(data.eras.spans):
                parts = fitting.parts(model, fitting.fold_of(name, fold).train)
                found[f"{name} {fold.number}"] = fitting.fit_key(model, parts)
            found[f"{name} final"] = fitting.fit_key(model, fitting.parts(model, data.eras.labelled, final=True))
        return found

    def run(self, name: str, runs: str = "runs") -> Path:
        train(self.spark, self.config(f"run.name={name}", runs=runs), Notes())
        return self.folder / runs / name


@pytest.fixture(scope="module")
def root(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Root:
    made = Root(spark, tmp_path_factory.mktemp("root"))
    made.prices(DAYS - WEEK)
    return made


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many eras each fit of this process learned from."""
    learned: list[int] = []
    plain: Callable[..., object] = LinearModel.fit

    def counted(self: LinearModel, training: object, eras: list[int], *args: object) -> object:
        learned.append(len(eras))
        return plain(self, training, eras, *args)

    monkeypatch.setattr(LinearModel, "fit", counted)
    return learned


def fits_of(run: Path) -> dict[str, int]:
    return dict(json.loads((run / "run.json").read_text())["clock"]["fits"])


def test_what_no_fit_depends_on_makes_no_other_fit(root: Root) -> None:
    tables = root.tables()
    first = root.keys(tables)
    assert len(set(first.values())) == len(first) == FOLDS + 1

    blend = "ensembles={blend: {models: [lightgbm, longer]}}"
    longer = root.keys(tables, LONGER, blend)
    assert {key: longer[key] for key in first} == first  # the longer labels of another model purge none of its eras
    assert len(set(longer.values())) == 2 * (FOLDS + 1)
    assert root.keys(tables, "prices.note=Mine.", "scoring.payout.factor=0.2", "run.name=other") == first
    for setting in ("models.lightgbm.penalty=7", "run.seed=8", "sampling.rows=0.9", "sampling.half_life=50"):
        assert not set(root.keys(tables, setting).values()) & set(first.values()), setting


def test_two_runs_at_once_fit_nothing_twice(root: Root, fits: list[int]) -> None:
    both = [threading.Thread(target=root.run, args=(name, "shared")) for name in ("one", "two")]
    for run in both:
        run.start()
    for run in both:
        run.join()

    assert len(fits) == FOLDS + 1
    one, two = (root.folder / "shared" / name for name in ("one", "two"))
    assert (one / "summary.json").read_bytes() == (two / "summary.json").read_bytes()
    assert (one / "predictions.csv").read_bytes() == (two / "predictions.csv").read_bytes()
    assert fits_of(one)["fitted"] + fits_of(two)["fitted"] == FOLDS + 1


def test_a_run_that_was_killed_goes_on_after_a_week_more_of_prices(root: Root, fits: list[int]) -> None:
    def is_done(fold: int) -> bool:
        return (root.folder / f"runs/mine/state/lightgbm-fold-{fold}.json").exists()

    before = root.keys(root.tables())
    assert len(before) == FOLDS + 1
    with submitted(root.folder, "jobs/train.py", root.arguments("run.name=mine")) as process:
        wait_for(lambda: is_done(2), process, root.folder)
        assert stop(process, signal.SIGKILL) == -signal.SIGKILL
    assert not is_done(3)

    root.prices(DAYS)
    after = root.keys(root.tables())
    assert {key for key in before if before[key] != after[key]} == {"lightgbm final"}
    mine = root.run("mine")
    assert len(fits) == FOLDS + 1 - 2
    assert fits_of(mine) == {"fitted": FOLDS + 1 - 2, "fitted before": 2}
    assert_same_run(mine, root.run("mine", runs="undisturbed"))
    del fits[:]
    other = root.run("other")
    assert not fits
    assert fits_of(other) == {"fitted": 0, "fitted before": FOLDS + 1}
    assert (other / "summary.json").read_bytes() == (mine / "summary.json").read_bytes()
    assert (other / "predictions.csv").read_bytes() == (mine / "predictions.csv").read_bytes()
