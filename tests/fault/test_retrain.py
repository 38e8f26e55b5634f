"""A champion that is retrained: killed between any two steps, refitted, replaced by a better recipe, taken back.

Where models are trained kills are exceptions that nothing handles, in the tests' session: a call's only memory is its
files. Around the decision, and everywhere in the soak, the kernel kills a process.
"""

import json
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from tests.fault.killed_retrain import WITHOUT_SPARK

from eraflow.cli import job
from eraflow.config import ClassicSynthetic, load
from eraflow.monitoring.champions import Champion
from eraflow.monitoring.promotion import Ruling
from eraflow.outcome import Code
from eraflow.pipeline.predict import config_of_run
from eraflow.pipeline.retraining import POINTS, config_of_champion, retrain
from eraflow.pipeline.train import train
from eraflow.progress import PlainProgress
from eraflow.sources import classic_synthetic
from eraflow.sources.synthetic import sector_prices

pytestmark = pytest.mark.slow

DAYS, LATER = 420, 40
WEAK = "models.ridge={kind: linear, features: [ret_vol_1]}"
TINY = (
    "source=prices", "features.set=momentum", "targets.horizons=[5]", "targets.main=target_neutral_5",
    "validation.folds=null", "validation.period=26", "validation.min_train_eras=12", "models.lightgbm=null", WEAK,
    "retrain.every=4", "retrain.compare_from=1", "retrain.compare_every=1",
)  # fmt: skip
ROOT = Path(__file__).parents[2]
OPTIONS = runpy.run_path(str(ROOT / "jobs/retrain.py"))["OPTIONS"]


class Killed(BaseException):
    """What no handler of the product catches."""


def universe() -> pd.DataFrame:
    settings = load([], []).synthetic.model_dump() | {
        "sectors": 3,
        "tickers_per_sector": 35,
        "days": DAYS,
        "momentum": 0.25,
    }
    frame = pd.concat([sector_prices(sector, **settings) for sector in range(3)], ignore_index=True)
    return frame.drop(columns=["file", "unreadable"])


class House:
    """Jobs over one folder."""

    def __init__(self, base: Path, spark: SparkSession) -> None:
        self.base, self.spark, self.raw = base, spark, universe()
        self.champion = Champion(base / "runs", "main")
        self.strong = base / "strong.yml"
        self.strong.write_text("models: {ridge: {features: []}}\n")

    def until(self, later: int) -> None:
        """Prices until so many days before the last."""
        days = sorted(self.raw["date"].unique())
        self.raw[self.raw["date"] <= days[-1 - later]].to_parquet(self.base / "prices.parquet")

    def settings(self, *more: str) -> list[str]:
        places = (f"prices.path={self.base}/prices.parquet", f"tables.root={self.base}/tables")
        return [*TINY, *places, f"run.dir={self.base}/runs", *more]

    def train(self, name: str) -> int:
        return job("", train, self._arguments("run.name=" + name))

    def retrain(self, *options: str, settings: tuple[str, ...] = ()) -> int:
        arguments = [*options, *self._arguments(*settings)]
        return job("", retrain, arguments, OPTIONS, config_of_champion, lazily=True)

    def killed(self, point: str, *settings: str) -> None:
        def at(passed: str) -> None:
            if passed == point:
                raise Killed

        config = config_of_champion([], self.settings(*settings))
        with pytest.raises(Killed):
            retrain(lambda: self.spark, config, PlainProgress(), at=at)

    def killed_by_the_kernel(self, point: str, *settings: str) -> None:
        command = [sys.executable, "tests/fault/killed_retrain.py", point, *self._arguments(*settings)]
        ended = subprocess.run(command, cwd=ROOT, timeout=300, check=False, capture_output=True, text=True,
                               env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'lib'}"})  # fmt: skip
        assert ended.returncode == -signal.SIGKILL, ended.stderr

    def fits(self, run: str) -> dict[str, int]:
        return json.loads((self.base / f"runs/{run}/run.json").read_text())["clock"]["fits"]

    def _arguments(self, *more: str) -> list[str]:
        return [part for text in self.settings(*more) for part in ("--set", text)]


@pytest.fixture(scope="module")
def house(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> House:
    made = House(tmp_path_factory.mktemp("retrain"), spark)
    made.until(LATER)
    assert made.train("first") == 0
    assert made.retrain("--install", "first") == 0
    return made


def test_the_life_of_a_champion(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    champion, printed = house.champion, lambda: capsys.readouterr().out
    assert (champion.run, house.retrain()) == ("first", Code.NOTHING_TO_DO)
    assert "its data are the newest that there are" in printed()

    house.until(LATER - 10)  # two weeks later
    assert house.retrain() == Code.NOTHING_TO_DO
    assert "2 eras have passed since its newest, and retrain.every is 4" in printed()

    # Eight weeks later it is due: killed anywhere before the decision, the champion stands and the next call goes on.
    house.until(0)
    for point in POINTS[: POINTS.index("compared")]:
        house.killed(point)
        assert champion.run == "first", point
    house.killed_by_the_kernel("compared" + WITHOUT_SPARK)
    assert champion.run == "first"
    house.killed_by_the_kernel("decided" + WITHOUT_SPARK)
    assert champion.run == "main-0002"
    assert house.retrain() == Code.NOTHING_TO_DO
    (*_, refit) = champion.decisions
    assert (refit.ruling, refit.number, len(champion.decisions)) == (Ruling.REFIT, 2, 2)
    assert house.fits("main-0002")["fitted before"] >= 1  # folds that new weeks do not change

    # Another recipe is compared at once, on the same data, and is better.
    better = (f"retrain.challenger=[{house.strong}]",)
    house.killed("challenged", *better)
    assert champion.run == "main-0002"
    assert house.retrain(settings=better) == 0
    assert "promote: champion main is main-0003-" in printed()
    (*_, promotion) = champion.decisions
    assert promotion.ruling is Ruling.PROMOTE
    assert promotion.manifest["compared"]["challenger"]["found"]["low"] > 0
    assert (
        promotion.manifest["compared"]["challenger"]["tables"]
        == promotion.manifest["compared"]["challenger"]["against"]["tables"]
    )
    assert house.retrain(settings=better) == Code.NOTHING_TO_DO

    # What a command means by the champion follows it, and goes back with it.
    assert config_of_run([], [f"run.dir={house.base}/runs"], run="champion:main").models["ridge"].features == ()
    assert house.retrain("--rollback") == 0
    assert champion.run == "main-0002"
    assert config_of_run([], [f"run.dir={house.base}/runs"], run="champion:main").models["ridge"].features == (
        "ret_vol_1",
    )
    assert house.retrain(settings=better) == Code.NOTHING_TO_DO  # what somebody took back is not promoted again
    assert house.retrain("--rollback") == 0
    assert champion.run == "first"
    assert house.retrain("--rollback") == 2
    printed()
    assert house.retrain("--history") == 0
    assert "made again from their manifests: all 5 the same; first" in printed()


def test_a_decision_that_was_changed_is_told(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    file = sorted((house.champion.folder / "decisions").glob("*.json"))[2]
    whole = file.read_text()
    changed = json.loads(whole)
    changed["compared"]["challenger"]["scores"]["challenger"] = changed["compared"]["challenger"]["scores"]["champion"]
    file.write_text(json.dumps(changed))
    try:
        assert house.retrain("--history") == 2
        assert "decision 0003 comes out as keep" in capsys.readouterr().err
    finally:
        file.write_text(whole)


@pytest.mark.soak
def test_a_process_that_the_kernel_kills_between_any_two_steps_leaves_the_champion_or_the_next(
    spark: SparkSession, tmp_path: Path
) -> None:
    house = House(tmp_path, spark)
    house.until(LATER)
    assert house.train("first") == 0
    assert house.retrain("--install", "first") == 0
    house.until(0)
    better = (f"retrain.challenger=[{house.strong}]",)
    for point in POINTS:
        house.killed_by_the_kernel(point, *better)
        decided = POINTS.index(point) >= POINTS.index("decided")
        assert len(house.champion.decisions) == 1 + decided, point
        assert (house.champion.run == "first") == (not decided), point
        if decided:  # the next kills one that is not decided yet
            (*_, newest) = sorted((house.champion.folder / "decisions").glob("*.json"))
            assert house.retrain(settings=better) == Code.NOTHING_TO_DO
            assert len(house.champion.decisions) == 2
            newest.unlink()
    assert house.retrain(settings=better) == 0
    (_, promotion) = house.champion.decisions
    assert (promotion.ruling, promotion.number) == (Ruling.PROMOTE, 2)


@pytest.mark.soak
def test_a_champion_of_classic_is_refitted_a_week_later(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weeks = ClassicSynthetic(train_eras=60, validation_eras=40, rows_per_era=60, features=50, metadata=None, signal=2.0,
                             absent="both", seed=7)  # fmt: skip
    settings = (
        f"classic.path={tmp_path}/round", "classic.dataset=null", "classic.features=all", f"run.dir={tmp_path}/runs",
        f"tables.root={tmp_path}/tables", "validation.period=30", "validation.min_train_eras=30", "retrain.every=2",
        "models.lightgbm.trees=5", "models.lightgbm.min_data_in_leaf=50",
    )  # fmt: skip
    given = ["--config", "classic.yml", *(part for text in settings for part in ("--set", text))]
    champion = Champion(tmp_path / "runs", "main")

    def retrained(*options: str) -> int:
        return job("", retrain, [*options, *given], OPTIONS, config_of_champion, lazily=True)

    classic_synthetic.write(weeks, tmp_path / "round")
    assert job("", train, given) == 0
    assert retrained("--install", "classic") == 0
    for later, expected in ((1, Code.NOTHING_TO_DO), (2, Code.DONE), (2, Code.NOTHING_TO_DO)):
        classic_synthetic.write(weeks.model_copy(update={"validation_eras": 40 + later}), tmp_path / "round")
        capsys.readouterr()
        assert retrained() == expected, later
    (_, refit) = champion.decisions
    assert (refit.ruling, refit.champion) == (Ruling.REFIT, "main-0002")
    assert refit.manifest["run"]["live"] == 103
    told = json.loads((tmp_path / "runs/main-0002/run.json").read_text())
    assert told["clock"]["fits"]["fitted before"] >= 1  # folds that the new weeks do not change
    assert len(pd.read_csv(tmp_path / "runs/main-0002/predictions.csv")) == 60
    assert retrained("--history") == 0
