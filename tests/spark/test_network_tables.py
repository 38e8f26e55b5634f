"""Network tables in the product: columns of the training table, one more week, weekly and monthly graphs, the past."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from tests.spark.test_incremental import Job, Notes

from eraflow.config import Config, load
from eraflow.errors import InputError
from eraflow.graphs.assets import NAMES
from eraflow.pipeline import signals_steps
from eraflow.pipeline.site import Site
from eraflow.pipeline.steps import Versions
from eraflow.sources.synthetic import sector_prices
from eraflow.tables import Store

DAYS = 400
NETS = [f"net_{name}" for name in NAMES]


class NetworkJob(Job):
    """`jobs/features.py` with networks: look-backs of 20 and 40 days, so that graphs start after 335 days."""

    relearn = "weekly"

    @property
    def config(self) -> Config:
        settings = [f"{key}={value}" for key, value in {
            "prices.path": f"{self.folder}/prices.parquet", "tables.root": f"{self.folder}/tables",
            "tables.era_block": 20, "features.set": "momentum", "network.relearn": self.relearn,
            "network.look_backs": "[20, 40]", "network.degree": 4,
        }.items()]  # fmt: skip
        return load(["signals.yml"], settings)

    def table(self, tables: Versions, name: str, by: list[str]) -> pd.DataFrame:
        version = tables[name]
        return Store(self.spark, f"{self.folder}/tables").read(version).toPandas().sort_values(by, ignore_index=True)

    def edges(self, tables: Versions) -> pd.DataFrame:
        return self.table(tables, "graph_edges", ["era", "source", "target"])


class MonthlyJob(NetworkJob):
    relearn = "monthly"


@pytest.fixture(scope="module")
def raw() -> pd.DataFrame:
    settings = load([], []).synthetic.model_dump() | {"sectors": 2, "tickers_per_sector": 13, "days": DAYS}
    frame = pd.concat([sector_prices(sector, **settings) for sector in range(2)], ignore_index=True)
    return frame.drop(columns=["file", "unreadable"])


@pytest.fixture(scope="module")
def last_week(raw: pd.DataFrame) -> date:
    return sorted(raw["date"].unique())[-5]


@pytest.fixture(scope="module")
def whole(
    spark: SparkSession, raw: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> tuple[NetworkJob, Versions]:
    job = NetworkJob(spark, tmp_path_factory.mktemp("whole"))
    return job, job.run(raw)


@pytest.mark.slow
def test_network_momentum_is_ranked_and_packed_like_other_features(whole: tuple[NetworkJob, Versions]) -> None:
    job, tables = whole
    training, edges = job.training(tables), job.edges(tables)

    assert tables["training"].manifest["features"] == [*NAMES, *NETS]
    levels, values = np.array([*training["features"]]), job.table(tables, "features", ["date", "ticker"])
    last = (training["era"] == training["era"].max()).to_numpy()
    latest = edges[edges["era"] == training["era"].max()]
    tickers = training.loc[last, "id"].str.split("_").str[0].tolist()
    matrix = pd.DataFrame(0.0, tickers, tickers)
    for edge in latest.itertuples():
        matrix.loc[edge.source, edge.target] = matrix.loc[edge.target, edge.source] = edge.normalised
    found = matrix.to_numpy() @ np.stack(values[values["date"] == values["date"].max()]["momentum"])
    place = pd.DataFrame(found.astype("float32")).rank().sub(0.5).to_numpy() / len(found)
    assert (levels[last][:, len(NAMES) :] == np.minimum((place * 5).astype(int), 4)).all()
    assert (levels[training["era"] < edges["era"].min()][:, len(NAMES) :] == -1).all()


@pytest.mark.slow
def test_one_more_week_learns_one_more_graph(
    whole: tuple[NetworkJob, Versions], raw: pd.DataFrame, last_week: date, tmp_path: Path
) -> None:
    job, tables = whole
    extended = NetworkJob(job.spark, tmp_path)
    before = extended.edges(extended.run(raw[raw["date"] < last_week]))

    after = extended.run(raw)

    # The last five days are a Friday and the week after it: two eras.
    lines = [text for text in extended.notes.lines if text.startswith("table graph")]
    assert len(lines) == 2
    assert all(text.endswith(f"written from {last_week} on") for text in lines)
    found, wanted = extended.edges(after), job.edges(tables)
    last = wanted["era"].max()
    pd.testing.assert_frame_equal(found[found["era"] < last - 1], before[before["era"] < last - 1])
    pd.testing.assert_frame_equal(found, wanted, check_exact=False, rtol=1e-9)
    left, right = extended.training(after), job.training(tables)
    assert np.array_equal(np.array([*left["features"]]), np.array([*right["features"]]))


@pytest.mark.soak
def test_monthly_graphs_are_those_of_each_fourth_week(
    whole: tuple[NetworkJob, Versions], spark: SparkSession, raw: pd.DataFrame, tmp_path: Path
) -> None:
    job, tables = whole
    monthly = MonthlyJob(spark, tmp_path)
    before = monthly.run(raw[raw["date"] < sorted(raw["date"].unique())[-1]])
    made = monthly.run(raw)

    assert (
        made["graphs"] == before["graphs"]
    )  # the last day is in the second week of its four: there is nothing to learn
    found, weekly = monthly.edges(made), job.edges(tables)

    assert set(found["era"] % 4) == {0}
    wanted = weekly[weekly["era"].isin(found["era"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, wanted, check_exact=False, rtol=1e-9)
    training = monthly.training(made)
    levels = np.array([*training["features"]])[:, len(NAMES) :]
    complete = training.loc[(levels >= 0).all(axis=1), "era"]
    assert complete.min() == found["era"].min()
    assert complete.max() == training["era"].max()


def test_a_set_without_momentum_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    settings = ["features.set=technical", "network.relearn=weekly", f"tables.root={tmp_path}"]

    with pytest.raises(InputError, match=r"network\.relearn: .*'ret_vol_1'; choose features\.set=main"):
        signals_steps.tables(Site(Store(spark, str(tmp_path)), load([], settings), Notes()))
