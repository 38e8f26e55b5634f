"""The job `monitor`: what it keeps, what it says, and how it ends; and the profiles that Spark makes of eras."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from tests.rounds import CLASSIC, NUMBER, SLOT, Scene, frame, scene, write_predicted

from eraflow.appended import Appended
from eraflow.config import Config
from eraflow.config.submit import Slot
from eraflow.errors import InputError
from eraflow.graphs.described import shapes
from eraflow.monitoring import records
from eraflow.monitoring.calibration import overlapping
from eraflow.monitoring.drift import Reference
from eraflow.monitoring.eras import profiles
from eraflow.monitoring.profile import profile
from eraflow.monitoring.records import Sent
from eraflow.monitoring.simulated import MISSING, Universe
from eraflow.outcome import Code, Outcome
from eraflow.pipeline.monitoring import monitor
from eraflow.progress import PlainProgress

UNIVERSE = Universe(features=30, rows=300)
ERAS = 240
DAYS = pd.bdate_range("2026-10-01", periods=6).strftime("%Y-%m-%d").tolist()
SCORES_OF = {"numerai_corr": 0.02, "mmc": 0.005}


@pytest.fixture
def at_round(tmp_path: Path) -> Iterator[Scene]:
    """A run with validated eras, and six rounds that it has predicted."""
    with scene(tmp_path) as made:
        run, draw = made.runs / CLASSIC, np.random.default_rng(1)
        eras = [UNIVERSE.era(draw) for _ in range(40)]
        Reference.of(UNIVERSE.names, UNIVERSE.groups, eras).write(run / "monitor/reference.npz")
        scores = pd.DataFrame([
            ("lightgbm", era, metric, value)
            for metric, mean in SCORES_OF.items()
            for era, value in enumerate(overlapping(draw, 1, ERAS, 4)[0] * 0.02 + mean, start=1)
        ], columns=["model", "era", "metric", "value"])  # fmt: skip
        scores.to_csv(run / "per_era.csv", index=False)
        summary = {"lightgbm": {"numerai_corr": {"eras": ERAS, "effective_eras": ERAS / 4}}}
        (run / "summary.json").write_text(json.dumps(summary))
        for place, day in enumerate(DAYS):
            number = NUMBER - len(DAYS) + place
            folder = write_predicted(
                made.runs, CLASSIC, CLASSIC, {"lightgbm": frame(CLASSIC, number)}, number, date=day
            )
            UNIVERSE.era(draw).write(folder)
        (run / "rounds/2026-11-30/manifest.json").unlink()
        yield made


def config_of(made: Scene) -> Config:
    config = made.config([CLASSIC])
    return config.model_copy(update={"tables": config.tables.model_copy(update={"root": f"{made.folder}/tables"})})


def call(spark: SparkSession, made: Scene) -> Outcome:
    return monitor(spark, config_of(made), PlainProgress(), offline=True)


def write_scores(made: Scene, values: np.ndarray, last: int = 1090) -> None:
    made.ledger.parent.mkdir(parents=True, exist_ok=True)
    rounds = np.arange(last - len(values) + 1, last + 1)
    pd.DataFrame({
        "tournament": CLASSIC, "slot": SLOT[CLASSIC], "round": rounds, "name": "canon_corr20", "version": "v1",
        "day": 20, "value": values, "percentile": 0.5, "date": "2026-09-01", "resolved": True, "submission": "x",
    }).to_csv(made.ledger.parent / "scores.csv", index=False)  # fmt: skip


def said(made: Scene) -> dict[str, object]:
    document = json.loads((made.folder / "rounds/monitor/monitor.json").read_text())
    return dict(document["slots"][SLOT[CLASSIC]])


@pytest.mark.slow
def test_a_slot_that_works_is_ok_and_every_round_is_kept_once(spark: SparkSession, at_round: Scene) -> None:
    write_scores(at_round, overlapping(np.random.default_rng(2), 1, 300, 20)[0] * 0.02 + 0.02)
    first = call(spark, at_round)
    assert (first.code, first.lines[0]) == (Code.DONE, f"{SLOT[CLASSIC]}: ok")
    root = f"{at_round.folder}/tables"
    live = Appended(spark, root, records.LIVE, records.LIVE_SCHEMA, records.LIVE_KEYS)
    scored = Appended(spark, root, records.SCORED, records.SCORED_SCHEMA, records.SCORED_KEYS)
    rows, scores = live.rows(), scored.rows()
    assert sorted(rows["date"].unique()) == DAYS
    assert rows[rows["statistic"] == "rows"]["value"].tolist() == [300.0] * 6
    assert len(scores) == 300

    call(spark, at_round)
    pd.testing.assert_frame_equal(live.rows(), rows)
    pd.testing.assert_frame_equal(scored.rows(), scores)
    page = (at_round.folder / "rounds/monitor/monitor.html").read_bytes()
    assert len(page) < 2_000_000
    assert said(at_round)["last_scored_round"] == 1090


@pytest.mark.slow
def test_a_score_that_has_turned_asks_for_a_challenger(spark: SparkSession, at_round: Scene) -> None:
    write_scores(at_round, overlapping(np.random.default_rng(3), 1, 400, 20)[0] * 0.02 - 0.03)
    found = call(spark, at_round)
    assert found.code == Code.RETRAIN
    assert f"{SLOT[CLASSIC]}: retrain: canon_corr20 has fallen off its validation mean by a CUSUM of" in found.lines[0]
    assert said(at_round)["level"] == "retrain"


@pytest.mark.slow
def test_rows_that_have_drifted_warn_and_broken_ones_block(spark: SparkSession, at_round: Scene) -> None:
    newest = at_round.runs / CLASSIC / "rounds" / DAYS[-1]
    UNIVERSE.era(np.random.default_rng(4), "missing").write(newest)
    warned = call(spark, at_round)
    assert warned.code == Code.WARNED
    assert "1 of 30 features have drifted: feature_0 is missing in" in warned.lines[0]
    assert "  no score of its rounds is resolved yet" in warned.lines
    UNIVERSE.era(np.random.default_rng(4), "lost").write(newest)
    assert call(spark, at_round).code == Code.BLOCKED


@pytest.mark.slow
def test_a_slot_that_cannot_be_looked_at_costs_only_itself(spark: SparkSession, at_round: Scene) -> None:
    config = config_of(at_round)
    slots = {**config.submit.slots, "other": Slot(run="gone"), "odd": Slot(run="odd")}
    (at_round.runs / "odd/rounds/2026-10-01").mkdir(parents=True)
    (at_round.runs / "odd/rounds/2026-10-01/manifest.json").write_text("{")
    config = config.model_copy(update={"submit": config.submit.model_copy(update={"slots": slots})})
    found = monitor(spark, config, PlainProgress(), offline=True)
    assert found.code == Code.WARNED
    assert found.lines[0] == f"{SLOT[CLASSIC]}: ok"
    assert "odd: not looked at: " in found.lines[-2]
    assert "manifest.json is no manifest of a round; remove" in found.lines[-2]


@pytest.mark.slow
def test_a_slot_that_gets_another_status_is_told_of_once(
    spark: SparkSession, at_round: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels: list[str] = []

    def hear(_: str, outcome: Outcome, __: object) -> None:
        levels.append(outcome.lines[0].split(":")[1])

    monkeypatch.setattr("eraflow.pipeline.monitoring.tell", hear)
    config = config_of(at_round)
    config = config.model_copy(update={"submit": config.submit.model_copy(update={"webhook": "env:HOOK"})})
    newest = at_round.runs / CLASSIC / "rounds" / DAYS[-1]
    for change in ("nothing", "missing", "missing", "nothing"):
        UNIVERSE.era(np.random.default_rng(4), change).write(newest)
        monitor(spark, config, PlainProgress(), offline=True)
    assert levels == [" warn", " ok"]


@pytest.mark.slow
def test_bad_input_is_refused_in_a_sentence_and_nothing_is_written(spark: SparkSession, at_round: Scene) -> None:
    with pytest.raises(InputError, match=r"--slots nobody: submit\.slots has no such slot; it has ours"):
        monitor(spark, config_of(at_round), PlainProgress(), slots=["nobody"], offline=True)
    at_round.ledger.parent.mkdir(parents=True, exist_ok=True)
    (at_round.ledger.parent / "scores.csv").write_text("tournament,slot,round\nclassic,ours,1\n")
    with pytest.raises(InputError, match=r"scores.csv has no column name; remove it, and jobs/scores.py fetches it"):
        call(spark, at_round)
    assert not (at_round.folder / "rounds/monitor/monitor.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize("spoilt", ["*.parquet", "_delta_log/*.json"])
def test_a_damaged_table_is_told_and_left_as_it_is(spark: SparkSession, at_round: Scene, spoilt: str) -> None:
    root = f"{at_round.folder}/tables"
    scored = Appended(spark, root, records.SCORED, records.SCORED_SCHEMA, records.SCORED_KEYS)
    scored.add(pd.DataFrame([(CLASSIC, "ours", 1, "mmc", "v1", 0.1, 0.5, DAYS[0])],
                            columns=[field.split()[0] for field in records.SCORED_SCHEMA.split(", ")]))  # fmt: skip
    folder = Path(root) / f"_{records.SCORED}"
    (file,) = folder.glob(spoilt)
    file.write_text(file.read_text(errors="replace")[:40])
    for check in file.parent.glob(f".{file.name}.crc"):
        check.unlink()
    spark.sparkContext._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()  # type: ignore[union-attr]
    write_scores(at_round, np.full(30, 0.02))
    there = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with pytest.raises(
        InputError, match=rf"the table {root}/_monitor_scores is damaged \(.*\); put it back from a copy"
    ):
        call(spark, at_round)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == there
    assert not list(at_round.folder.glob("rounds/monitor/monitor.*"))


@pytest.mark.parametrize(
    ("rounds", "every"),
    [pytest.param(5, 3, marks=pytest.mark.soak), pytest.param(1250, 100, marks=pytest.mark.soak)],
)
def test_five_years_of_ten_slots_take_less_than_50_mb(
    spark: SparkSession, tmp_path: Path, rounds: int, every: int
) -> None:
    """Of few rounds the size is taken a round; files are put together on the way, and no row is lost."""
    draw = np.random.default_rng(6)
    reference = Reference.of(UNIVERSE.names, UNIVERSE.groups, [UNIVERSE.era(draw) for _ in range(30)])
    table = Appended(spark, str(tmp_path), records.LIVE, records.LIVE_SCHEMA, records.LIVE_KEYS, every)
    looks = {"spread": 0.1, "exposure": 0.2, "most_exposed": "feature_1", "exposure_rms": 0.05}
    others = {f"rank_correlation:benchmark:v53_model_{place}": 0.1 * place for place in range(20)}
    added = 0
    for place in range(rounds):
        day = f"{pd.bdate_range('2026-01-01', periods=rounds)[place]:%Y-%m-%d}"
        drawn = UNIVERSE.era(draw, "shifted")
        slots = [records.live_rows(Sent("classic", f"slot_{slot}", place, day, "run", "model"), reference, drawn,
                                   0.0004, looks, others) for slot in range(10)]  # fmt: skip
        added += table.add(pd.concat(slots, ignore_index=True))
    size = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    assert size * 1250 / rounds < 50e6
    found = table.rows()
    assert len(found) == added > 300 * rounds
    assert not found.duplicated(list(records.LIVE_KEYS)).any()
    active = spark.read.format("delta").load(f"{tmp_path}/_{records.LIVE}").inputFiles()
    assert len(active) <= every + 1


def test_shapes_of_graphs_are_counted_by_hand(spark: SparkSession) -> None:
    rows = [(1, "a", "b"), (1, "b", "c"), (3, "a", "b"), (3, "a", "c"), (3, "c", "d"), (3, "b", "d")]
    found = shapes(spark.createDataFrame(rows, "era int, source string, target string"))
    expected = pd.DataFrame({"era": [1, 3], "degree": [4 / 3, 2.0], "kept": [np.nan, 0.5]})
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_profiles_of_eras_are_those_of_their_rows(spark: SparkSession) -> None:
    draw = np.random.default_rng(5)
    eras = {era: UNIVERSE.levels(draw) for era in (3, 4, 9)}
    rows = [(era, row.tolist()) for era, levels in eras.items() for row in levels]
    frame = spark.createDataFrame(rows, "era int, features array<tinyint>").repartition(3)
    found = profiles(frame, 30, MISSING)
    assert list(found) == [3, 4, 9]
    for era, levels in eras.items():
        expected = profile(levels, MISSING)
        assert found[era].rows == expected.rows
        np.testing.assert_allclose(found[era].level, expected.level, rtol=1e-6)
        np.testing.assert_allclose(found[era].together, expected.together, atol=1e-5)
