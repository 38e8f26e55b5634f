"""A round of Numerai Classic by a finished run, without Spark: what is written and what is left alone."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests import predicting
from tests.predicting import LIVE, ROOT, ROWS, arguments, code, rounds, state

from eraflow import models
from eraflow.pipeline.predict import bands
from eraflow.rounds import submission

base, made = predicting.base, predicting.made  # a finished run, and the files of a live round


def test_every_model_and_the_blend_predict_the_live_file_and_the_run_stays_as_it_is(base: Path) -> None:
    run = base / "runs/mine"
    before = state(base)
    assert code(base, "--date", "2026-11-28", "--round", "1200") == 0
    assert {path: content for path, content in state(base).items() if "/var/" not in path} == before

    folder = run / "rounds/2026-11-28"
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*")) == [
        "manifest.json", "predictions.csv", "predictions/both.csv", "predictions/line.csv", "predictions/trees.csv",
        "profile.npz",
    ]  # fmt: skip
    live = pd.read_parquet(base / "round/live.parquet").set_index("id")
    for name in ("line", "trees", "both"):
        found = pd.read_csv(folder / f"predictions/{name}.csv", float_precision="round_trip").set_index("id")
        values = models.load(run / f"models/{name}/final").portable().predict(live)
        expected = submission.classic(values.rename_axis("id").reset_index()).set_index("id")
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert (folder / "predictions.csv").read_bytes() == (folder / "predictions/both.csv").read_bytes()


def test_the_manifest_says_what_was_predicted_and_by_what(base: Path) -> None:
    assert code(base, "--date", "2026-11-28", "--round", "1200", "--era", "14") == 0
    folder = base / "runs/mine/rounds/2026-11-28"
    manifest = json.loads((folder / "manifest.json").read_text())
    ids = sorted(pd.read_parquet(base / "round/live.parquet")["id"])

    live = manifest.pop("live")
    assert live.pop("levels_sha256")
    assert live == {
        "era": 14,
        "rows": ROWS,
        "ids_sha256": hashlib.sha256("\n".join(ids).encode()).hexdigest(),
        "file_sha256": hashlib.sha256((base / "round/live.parquet").read_bytes()).hexdigest(),
    }
    predictions = manifest.pop("predictions")
    assert set(predictions) == {"line", "trees", "both"}
    assert len({one["model_sha256"] for one in predictions.values()}) == 3
    for name, one in predictions.items():
        content = (folder / one["file"]).read_bytes()
        assert (one["file"], one["rows"]) == (f"predictions/{name}.csv", ROWS)
        assert one["sha256"] == hashlib.sha256(content).hexdigest()
    assert "spark" not in manifest.pop("software")
    band = pytest.approx([0.104, 0.496])
    assert manifest.pop("bands") == {key: {"examples": band, "benchmark:v53_one": band} for key in predictions}
    assert manifest.pop("made_at").endswith("Z")
    names = models.load(base / "runs/mine/models/line/final").inputs
    assert manifest.pop("features_hash") == json.loads(
        (base / "runs/mine/models/line/final/model.json").read_text()
    )["inputs_hash"]  # fmt: skip
    assert len(names) == 18
    assert manifest == {
        "format": 1, "run": "mine", "tournament": "classic", "round": 1200, "date": "2026-11-28", "invented": True,
        "data_version": "v5.3", "submission": "both",
    }  # fmt: skip


def test_the_date_is_that_of_the_file_where_none_is_given(base: Path) -> None:
    os.utime(base / "round/live.parquet", (1_700_000_000, 1_700_000_000))
    assert code(base) == 0
    assert rounds(base) == ["2023-11-14"]
    assert json.loads((base / "runs/mine/rounds/2023-11-14/manifest.json").read_text())["live"]["era"] == LIVE


def test_the_same_rows_again_are_left_and_others_refused_unless_forced(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    day = ("--date", "2026-11-28")
    folder = base / "runs/mine/rounds/2026-11-28"

    def times() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}

    assert code(base, *day) == 0
    first, before = (folder / "predictions.csv").read_bytes(), times()
    assert code(base, *day) == 0
    assert "is there already, of the same rows and models; nothing was done." in capsys.readouterr().out

    rows = pq.read_table(base / "round/live.parquet")
    pq.write_table(rows.slice(20), base / "half.parquet")
    again = pa.concat_tables([rows.slice(20), rows.slice(0, 20)])  # another file of the same rows
    pq.write_table(again, base / "round/live.parquet")
    assert code(base, *day) == 0
    assert times() == before

    shutil.move(base / "half.parquet", base / "round/live.parquet")
    assert code(base, *day) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"eraflow: {folder} holds predictions of other rows or models; give --force to put new ones in their place."
    )
    assert times() == before
    assert code(base, *day, "--force") == 0
    assert (folder / "predictions.csv").read_bytes() != first
    assert rounds(base) == ["2026-11-28"]


def test_files_of_a_round_that_were_harmed_are_not_taken_for_whole(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code(base, "--date", "2026-11-28") == 0
    (base / "runs/mine/rounds/2026-11-28/predictions/line.csv").write_text("id,prediction\n")
    assert code(base, "--date", "2026-11-28") == 2
    assert "holds predictions of other rows or models" in capsys.readouterr().err


def test_a_process_without_java_predicts(base: Path) -> None:
    job = [sys.executable, str(ROOT / "jobs/predict.py"), *arguments(base, "--date", "2026-11-28")]
    without = {"PATH": str(Path(sys.executable).parent), "JAVA_HOME": "/nowhere", "PYTHONPATH": str(ROOT / "lib")}
    ended = subprocess.run(job, env=without, cwd=base, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == (
        f"predicted 40 rows of 2026-11-28, era {LIVE}: {base}/runs/mine/rounds/2026-11-28/predictions.csv\n"
    )
    assert not (base / "var/log").exists() or not list((base / "var/log").iterdir())


def test_bands_are_quantiles_of_eras_and_empty_without_others(tmp_path: Path) -> None:
    metric = "rank_corr_with_example_preds"
    scores = [("one", era, metric, era / 200) for era in range(101)] + [("one", 1, "mmc", 9.0), ("gone", 1, metric, 0)]
    pd.DataFrame(scores, columns=["model", "era", "metric", "value"]).to_csv(tmp_path / "per_era.csv", index=False)
    assert bands(tmp_path, ["one", "two"]) == {"one": {"examples": pytest.approx([0.005, 0.495])}}
