"""Every notebook from top to bottom, on small data and on one Spark."""

import re
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from eraflow.notebooks import written

ROOT = Path(__file__).parents[2]
SMALL = {
    "quick_tour": {"days": "420", "tickers": "13", "trees": "10"},
    "explanations": {"eras": "8", "rows": "200"},  # of the run that the tour has made
    "signals_with_networks": {
        "days": "520", "tickers": "13", "trees": "5", "leaf": "20", "look_backs": "[63]", "min_train_eras": "76",
    },
    "classic": {"rows": "60", "trees": "5"},
    "live_round": {"rows": "60"},
    "monitoring": {"features": "30", "rows": "300"},  # of the rounds that live_round has played
}  # fmt: skip
LONG = {"signals_with_networks", "classic", "live_round", "monitoring"}  # the soak's
FIGURES = {"live_round": 0, "monitoring": 2}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notebooks")


def test_every_notebook_is_run_here() -> None:
    assert set(SMALL) == {file.stem for file in (ROOT / "notebooks").glob("*.py")}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.soak] if name in LONG else []) for name in SMALL]
)
def test_a_notebook_runs_from_top_to_bottom(name: str, base: Path, spark: SparkSession) -> None:
    file = ROOT / f"notebooks/{name}.py"
    named = set(re.findall(r'widgets\.text\("(\w+)"', file.read_text()))
    places = {
        "tables": f"{base}/tables/{name}",
        "runs": f"{base}/runs",
        "folder": f"{base}/round",
        "invented": f"{base}/in",
    }
    given = SMALL[name] | {key: place for key, place in places.items() if key in named}
    out = base / f"{name}.html"

    written(file, out, spark, given)

    page = out.read_text()
    assert page.count('<pre class="code">') == len(re.findall(r"COMMAND -+\n\n(?!# MAGIC)", file.read_text()))
    assert page.count("data:image/svg+xml;base64,") >= FIGURES.get(name, 3)
    assert '<table border="1" class="dataframe">' in page
    if name == "live_round":
        assert "my_signals_model: signals/lightgbm is effective in signals round 1100" in page
