"""What each change makes anew, and that jobs on one root wait for no more than each other's writes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from tests.spark.test_incremental import Notes

from eraflow import retention
from eraflow.config import load
from eraflow.errors import InputError
from eraflow.features import sets
from eraflow.features.momentum import VolScaledReturn
from eraflow.models.linear import LinearModel
from eraflow.pipeline import signals_steps
from eraflow.pipeline.site import Site
from eraflow.pipeline.steps import Versions
from eraflow.pipeline.train import open_holdout, train
from eraflow.pipeline.upstream import build
from eraflow.sources.synthetic import sector_prices
from eraflow.tables import Store

pytestmark = pytest.mark.slow

DAYS = 330
SETTINGS = ("features.set=momentum", "targets.horizons=[20]", "validation.min_train_eras=8",
            "models={lightgbm: {kind: linear}}", "features.traded_money=always")  # fmt: skip
ALL = {"prices", "quality", "features", "eras", "training"}


def universe(days: int = DAYS) -> pd.DataFrame:
    config = load([], []).synthetic.model_dump() | {"sectors": 2, "tickers_per_sector": 60, "days": DAYS}
    frame = pd.concat([sector_prices(sector, **config) for sector in range(2)], ignore_index=True)
    frame = frame.drop(columns=["file", "unreadable"])
    return frame[frame["date"].isin(sorted(frame["date"].unique())[:days])]


class Root:
    """One folder of tables over one price file."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.folder, self.notes = folder, Notes()
        self.store = Store(spark, f"{folder}/tables")

    @property
    def settings(self) -> list[str]:
        return [f"prices.path={self.folder}/prices.parquet", f"tables.root={self.folder}/tables", *SETTINGS]

    def tables(self, *settings: str) -> tuple[set[str], Versions]:
        """Which tables were written, and the versions of all."""
        self.notes.lines.clear()
        config = load(["signals.yml"], [*self.settings, *settings])
        versions = signals_steps.tables(Site(self.store, config, self.notes))
        return {text.split()[1].rstrip(":") for text in self.notes.lines if " written" in text}, versions


@pytest.fixture(scope="module")
def root(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Root:
    made = Root(spark, tmp_path_factory.mktemp("root"))
    universe(DAYS - 5).to_parquet(made.folder / "prices.parquet")
    assert made.tables()[0] == ALL
    return made


def test_the_same_again_and_a_note_make_nothing(root: Root) -> None:
    assert root.tables()[0] == set()
    assert root.tables("prices.note=Of my vendor.", "run.seed=7", "run.name=x")[0] == set()


def test_another_feature_set_and_back_make_its_features_once(root: Root) -> None:
    _, first = root.tables()
    assert root.tables("features.set=technical")[0] == {"features", "training"}
    made, again = root.tables()
    assert made == set()
    assert again == first


def test_another_formula_of_one_feature_makes_no_prices(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = sets.SETS["momentum"]
    assert isinstance(first, VolScaledReturn)
    monkeypatch.setitem(sets.SETS, "momentum", (replace(first, bars=first.bars + 1), *others))
    assert root.tables()[0] == {"features", "training"}


def test_a_week_more_is_made_once_and_old_versions_can_go(root: Root) -> None:
    _, before = root.tables()
    pinned = root.store.read(before["training"]).toPandas().sort_values("id", ignore_index=True)
    retention.pin(root.store, root.folder, before.values())
    universe().to_parquet(root.folder / "prices.parquet")

    made, after = root.tables()
    assert made == ALL
    assert {name: version.number for name, version in after.items()} == dict.fromkeys(ALL, 1)
    assert root.tables()[0] == set()

    retention.prune(root.store, keep_days=0)
    assert root.tables()[0] == set()
    stored = root.store.read(before["training"]).toPandas().sort_values("id", ignore_index=True)
    pd.testing.assert_frame_equal(stored, pinned)


def test_prices_are_brought_up_to_date_while_a_model_is_fitted(
    spark: SparkSession, root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fit waits until the update has ended: if the update waited for the fit, neither would end."""
    root.tables()
    fitting, updated = threading.Event(), threading.Event()
    plain: Callable[..., object] = LinearModel.fit

    def slow(self: LinearModel, *args: object, **options: object) -> object:
        fitting.set()
        assert updated.wait(timeout=300)
        return plain(self, *args, **options)

    monkeypatch.setattr(LinearModel, "fit", slow)
    outcomes: list[tuple[str, ...]] = []
    settings = (f"run.dir={root.folder}/runs", "run.name=slow", "validation.holdout=3")
    config = load(["signals.yml"], [*root.settings, *settings])
    run = threading.Thread(target=lambda: outcomes.append(train(spark, config, Notes())))
    run.start()
    assert fitting.wait(timeout=100)
    later = universe().assign(volume=lambda frame: frame["volume"] + 1.0)
    later.to_parquet(root.folder / "prices.parquet")
    build(spark, load(["signals.yml"], [*root.settings, "tables.wait=5"]), Notes())
    updated.set()
    run.join()

    assert len(outcomes) == 1
    assert root.tables()[0] == set()
    again = train(spark, config, Notes(), repeat="slow")  # on the tables of before the update
    assert any("slow-again/report.html" in line for line in again)
    for name in ("predictions.csv", "summary.json", "per_era.csv"):
        assert (root.folder / "runs/slow" / name).read_bytes() == (
            root.folder / "runs/slow-again" / name
        ).read_bytes(), name
    assert "opened once: " in open_holdout(spark, config, Notes())[-1]  # on these tables, too
    with pytest.raises(InputError, match="other holds no finished run"):
        train(spark, config, Notes(), repeat="other")
