"""History played again on a small invented universe: what comes later changes nothing, and nothing is fitted twice."""

import json
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from tests.integration.test_report_page import CHROMIUM, DARK, DRAWN, checked

from eraflow.cli import job
from eraflow.config import load
from eraflow.pipeline.replay import replay
from eraflow.sources.synthetic import sector_prices

pytestmark = pytest.mark.slow

STEP = 4
SETTINGS = (
    "source=prices", "run.name=history", "features.set=momentum", "features.engine=kernels",
    "features.traded_money=always", "targets.horizons=[5]", "targets.main=target_neutral_5",
    "validation.min_train_eras=16", "models.lightgbm=null", "models.ridge={kind: linear}",
    "models.weak={kind: linear, features: [ret_vol_1]}", f"replay.step={STEP}", "replay.refit_every=8",
    "retrain.every=12", "retrain.compare_from=1", "retrain.compare_every=1",
)  # fmt: skip
QUOTED = ["open", "high", "low", "close", "adjusted_close"]


def universe() -> pd.DataFrame:
    settings = load([], []).synthetic.model_dump() | {"sectors": 2, "tickers_per_sector": 14, "days": 430}
    frame = pd.concat([sector_prices(sector, **settings) for sector in range(2)], ignore_index=True)
    return frame.drop(columns=["file", "unreadable"])


def poisoned(raw: pd.DataFrame, after: date) -> pd.DataFrame:
    """Every price after the day times a number of its own."""
    noise = np.random.default_rng(1).lognormal(0.0, 0.05, len(raw))
    later = (raw["date"] > after).to_numpy()
    return raw.assign(**{name: raw[name] * np.where(later, noise, 1.0) for name in QUOTED})


def played(base: Path, raw: pd.DataFrame, *settings: str) -> Path:
    """The folder of a replay of these prices."""
    base.mkdir(exist_ok=True)
    raw.to_parquet(base / "prices.parquet")
    places = (f"prices.path={base}/prices.parquet", f"tables.root={base}/tables", f"run.dir={base}/runs")
    arguments = [part for text in (*SETTINGS, *places, *settings) for part in ("--set", text)]
    assert job("", replay, arguments) == 0
    return base / "runs/replays/history"


def predictions(out: Path, policy: str) -> pd.DataFrame:
    rows = pd.read_parquet(out / "predictions" / policy).astype({"model": str, "fold": int})
    return rows.sort_values(["model", "fold", "era", "id"], ignore_index=True)[
        ["model", "fold", "era", "id", "prediction"]
    ]


@pytest.fixture(scope="module")
def raw() -> pd.DataFrame:
    return universe()


@pytest.fixture(scope="module")
def out(spark: SparkSession, raw: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return played(tmp_path_factory.mktemp("replay") / "plain", raw)


def test_what_comes_later_changes_nothing_that_was_predicted_scored_or_decided(
    out: Path, raw: pd.DataFrame, tmp_path: Path
) -> None:
    changes, scores = pd.read_csv(out / "changes.csv"), pd.read_csv(out / "per_era.csv")
    middle = changes[changes["policy"] == "regular"].iloc[2]
    day, era = date.fromisoformat(middle["date"]), int(middle["era"])

    other = played(tmp_path / "poisoned", poisoned(raw, day))

    same = pd.read_csv(other / "changes.csv")
    pd.testing.assert_frame_equal(changes[changes["era"] <= era], same[same["era"] <= era])
    same = pd.read_csv(other / "per_era.csv")
    resolved = [
        frame[frame["era"] < era - 1].reset_index(drop=True) for frame in (scores, same)
    ]  # a label of 2 + 5 days
    assert len(resolved[0]) > 20
    pd.testing.assert_frame_equal(*resolved, check_exact=True)
    assert not scores[scores["era"] > era + 2].equals(same[same["era"] > era + 2])
    for policy in ("never", "regular", "policy"):
        one, two = (predictions(place, policy) for place in (out, other))
        pd.testing.assert_frame_equal(*(rows[rows["era"] <= era].reset_index(drop=True) for rows in (one, two)))
        assert not one.equals(two)


def test_every_era_from_the_first_moment_on_is_scored_once_by_each_policy(out: Path) -> None:
    scores, facts = pd.read_csv(out / "per_era.csv"), json.loads((out / "replay.json").read_text())
    first, last = facts["eras"]

    assert set(scores["model"]) == {"never", "regular", "policy"}
    assert not scores.duplicated(["model", "era"]).any()
    assert {tuple(group["era"]) for _, group in scores.groupby("model")} == {tuple(range(first, last + 1))}
    costs = pd.read_csv(out / "costs.csv", index_col="policy")
    eras = last - first + 1
    assert costs["fits"].to_dict()["never"] == 1
    assert costs["fits"].to_dict()["regular"] == -(-eras // 8)
    assert costs["fits"].to_dict()["policy"] == 2 * (costs["refits"].to_dict()["policy"] + 1)
    assert (out / "report.html").stat().st_size < 2_000_000


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium")
@pytest.mark.parametrize(("width", "flags"), [(None, ()), (360, (DARK,))], ids=["wide", "dark phone"])
def test_the_page_is_drawn_and_no_labels_meet(
    out: Path, tmp_path: Path, width: int | None, flags: tuple[str, ...]
) -> None:
    found = checked((out / "report.html").read_text(), tmp_path, DRAWN, *flags, width=width)
    assert set(found["labels"].values()) == {0}, found["labels"]
    assert min(found["counts"].values()) >= 1, found["counts"]
    assert {"cumulative", "drawdown", "means", "eras-1", "comparison-1"} <= set(found["counts"])


def test_a_second_replay_fits_nothing_and_finds_the_same(out: Path, raw: pd.DataFrame) -> None:
    base, files = out.parents[2], ("per_era.csv", "changes.csv", "costs.csv", "differences.csv")
    cells = {path: path.stat().st_mtime_ns for path in base.rglob("_cells/fits/*/model.json")}
    before = {name: (out / name).read_bytes() for name in files}

    played(base, raw)

    assert {path: path.stat().st_mtime_ns for path in base.rglob("_cells/fits/*/model.json")} == cells
    assert {name: (out / name).read_bytes() for name in files} == before


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        (
            "validation.splitter=blocked_kfold",
            "which learns from the future of what it validates",
        ),
        (
            "run.submission=both",
            "run.submission: both is an ensemble, and a replay plays models; name one of",
        ),
        ("retrain.metric=mmc", "retrain.metric is mmc, which these data do not have; there are numerai_corr"),
        ("replay.start=2030-01-01", "replay.start leaves 0 moments of 4 eras to play"),
    ],
)
def test_what_cannot_be_played_is_refused_in_a_sentence(
    out: Path, capsys: pytest.CaptureFixture[str], setting: str, reason: str
) -> None:
    base = out.parents[2]
    places = (f"prices.path={base}/prices.parquet", f"tables.root={base}/tables", f"run.dir={base}/runs")
    every = [*SETTINGS, *places, "run.name=refused", "ensembles.both={}", setting]
    assert job("", replay, [part for text in every for part in ("--set", text)]) == 2
    assert reason in capsys.readouterr().err
