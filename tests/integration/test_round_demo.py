"""The demonstration of a round as a newcomer runs it: trained, predicted, checked and accepted, Classic and Signals."""

import json
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from tests.rounds import holding

from eraflow.cli import job
from eraflow.pipeline.round_demo import CONF, demo
from eraflow.rounds.credentials import STAND_IN

pytestmark = pytest.mark.slow


def test_the_demonstration(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = tmp_path / "round-demo"
    places = (f"run.dir={base}/runs", f"tables.root={base}/tables", f"submit.dir={base}/rounds")
    settings = [part for each in (*places, "classic_synthetic.rows_per_era=100") for part in ("--set", each)]
    assert job("", demo, ["--config", CONF, *settings], lazily=True) == 0

    out = capsys.readouterr().out
    assert "my_classic_model: classic/lightgbm is effective in classic round 1100" in out
    assert "my_signals_model: signals/lightgbm is effective in signals round 1100" in out
    assert "The same call again (exit code 3):" in out
    books = [json.loads(line) for line in (base / "rounds/ledger.jsonl").read_text().splitlines()]
    assert [line["event"] for line in books] == ["sending", "created", "effective"] * 2
    live = pd.read_parquet(base / "rounds/live/classic-1100/live.parquet")
    sent = pd.read_csv(base / f"rounds/sent/{books[0]['sha256']}.csv")
    assert set(sent["id"]) == set(live["id"] if "id" in live.columns else live.index)
    (folder,) = (base / "runs/classic/rounds").iterdir()
    assert sent.equals(pd.read_csv(folder / "predictions.csv"))

    key = (STAND_IN.public_id, STAND_IN.secret_key, "signature=")
    assert not [word for word in key if word in out]
    assert holding(tmp_path, *key) == []
    planted = base / "runs/classic/planted.bin"
    planted.write_bytes(b"\0" + STAND_IN.secret_key.encode())
    assert holding(tmp_path, *key) == [planted]
