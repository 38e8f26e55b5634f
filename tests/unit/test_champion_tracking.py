"""What MLflow is told of a champion: a registered model whose aliases follow the decisions."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.test_champions import ruled

from eraflow.config.scoring import Tracking
from eraflow.errors import InputError
from eraflow.monitoring.champions import Champion
from eraflow.monitoring.promotion import Ruling
from eraflow.pipeline.tracked import tell_champion
from eraflow.progress import PlainProgress
from eraflow.tracking import store

EMBEDDED = Tracking(enabled=True, uri=None, experiment="tests")


def write_run(base: Path, name: str) -> None:
    """A finished run, as far as MLflow is told of it."""
    folder = base / name
    (folder / "models/m/final").mkdir(parents=True)
    (folder / "models/m/final/model.txt").write_text("tree")
    (folder / "per_era.csv").write_text("model,era,metric,value\nm,7,mmc,0.25\n")
    (folder / "summary.json").write_text("{}")
    identity = {"config": {"run": {"seed": 7}}, "tables": {}}
    (folder / "run.json").write_text(json.dumps({"identity": identity, "git_revision": "abc", "tables": {}}))


def tell(base: Path, tracking: Tracking = EMBEDDED) -> tuple[str, ...]:
    return tell_champion(tracking, base, Champion.of(base, "main"), PlainProgress())


def test_aliases_follow_decisions_and_are_told_once(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    for name in ("one", "two"):
        write_run(tmp_path, name)
    champion = Champion.of(tmp_path, "main")

    def aliases() -> dict[str, Any]:
        client = mlflow.MlflowClient(store(EMBEDDED, tmp_path))
        versions = client.get_registered_model("main").aliases
        runs = {alias: client.get_model_version_by_alias("main", alias).run_id for alias in versions}
        return {alias: client.get_run(run).info.run_name for alias, run in runs.items()}

    champion.decide(1, ruled(Ruling.INSTALL, "one"))
    assert tell(tmp_path) == ("MLflow: of the model main champion is version 1",)
    assert aliases() == {"champion": "one"}
    assert tell(tmp_path) == ()

    champion.decide(2, {**ruled(Ruling.KEEP, "one"), "challenger": "two"})
    assert tell(tmp_path) == ("MLflow: of the model main champion is version 1, challenger is version 2",)
    assert aliases() == {"champion": "one", "challenger": "two"}

    champion.decide(3, ruled(Ruling.PROMOTE, "two"))
    assert tell(tmp_path) == ("MLflow: of the model main champion is version 2",)
    assert aliases() == {"champion": "two"}


def test_nothing_is_told_where_nobody_asks_for_it(tmp_path: Path) -> None:
    Champion.of(tmp_path, "main").decide(1, ruled(Ruling.INSTALL, "one"))

    assert tell(tmp_path, Tracking(enabled=False, uri=None, experiment="tests")) == ()
    assert not (tmp_path / "mlflow.db").exists()


def test_a_registry_that_is_away_costs_no_decision_and_is_not_taken_for_told(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    write_run(tmp_path, "one")
    champion = Champion.of(tmp_path, "main")
    champion.decide(1, ruled(Ruling.INSTALL, "one"))

    with pytest.raises(InputError, match=r"MLflow at http://127\.0\.0\.1:9 does not take"):
        tell(tmp_path, Tracking(enabled=True, uri="http://127.0.0.1:9", experiment="tests"))

    assert champion.run == "one"
    assert not (champion.folder / "mlflow.json").exists()  # the next call tells it
