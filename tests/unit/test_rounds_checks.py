"""What is refused before it is sent: each with its sentence, and the server is told of nothing."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.rounds import (
    CLASSIC,
    DATE,
    NUMBER,
    ROWS,
    SIGNALS,
    SLOT,
    Scene,
    frame,
    names,
    scene,
    write_live,
    write_predicted,
    write_run,
)

from eraflow.config import load
from eraflow.errors import InputError
from eraflow.outcome import Code
from eraflow.pipeline.submitting import handled
from eraflow.progress import PlainProgress
from eraflow.rounds.checks import Candidate, check_bands, check_origin
from eraflow.rounds.live import LiveFiles
from eraflow.rounds.predicted import ids_hash, read
from eraflow.rounds.standin import Fault


@pytest.fixture
def at_round(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        yield made


def refused(made: Scene, tournament: str, *settings: str) -> str:
    """The sentence of a refusal: the code says blocked, and neither was the key used nor anything uploaded."""
    found = made.call(tournament, *settings)
    assert found.code == Code.BLOCKED, found.lines
    assert made.held(tournament) == []
    assert made.asked("PUT") == 0
    (line,) = found.lines
    return line.replace(str(made.folder), "").removeprefix(f"{SLOT[tournament]}: ")


def changed(change: Callable[[pd.DataFrame], pd.DataFrame], tournament: str = CLASSIC) -> pd.DataFrame:
    return change(frame(tournament)).reset_index(drop=True)


def with_value(at: int, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(made: pd.DataFrame) -> pd.DataFrame:
        column = made.columns[1]
        return made.assign(**{column: made[column].astype(object).where(made.index != at, value)})

    return change


FILE = "/runs/classic/rounds/2026-11-30/predictions/lightgbm.csv"
FIRST, LAST = frame(CLASSIC)["id"].iloc[0], frame(CLASSIC)["id"].iloc[-1]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda made: made.iloc[1:],
            f"{FILE} lacks 1 of the 150 ids of classic round 1100, e.g. {FIRST}; predict again.",
        ),
        (
            lambda made: pd.concat([made, pd.DataFrame({"id": ["n0"], "prediction": [0.4]})]),
            f"{FILE} has 1 id that classic round 1100 does not have, e.g. n0; predict again.",
        ),
        (
            lambda made: pd.concat([made, made.iloc[:2]]),
            f"{FILE} has 2 ids more than once, e.g. {FIRST}; predict again.",
        ),
        (
            lambda made: made.assign(id=names(CLASSIC, 1099)),
            f"{FILE} is of another round: classic round 1100 has none of its ids; predict again.",
        ),
        (with_value(0, None), f"{FILE}: prediction is empty or no number in 1 rows, e.g. of {FIRST}; predict again."),
        (with_value(149, "x"), f"{FILE}: prediction is empty or no number in 1 rows, e.g. of {LAST}; predict again."),
        (
            with_value(0, 1.5),
            f"{FILE}: prediction of {FIRST} is 1.5; it must be above 0 and below 1 (1 rows are not); predict again.",
        ),
        (
            with_value(0, 0.0),
            f"{FILE}: prediction of {FIRST} is 0; it must be above 0 and below 1 (1 rows are not); predict again.",
        ),
        (
            lambda made: made.assign(prediction=0.5),
            f"{FILE} has one prediction for all rows, 0.5; look at the model.",
        ),
        (lambda made: made.iloc[:0], f"{FILE} has no rows; predict again."),
        (
            lambda made: made.rename(columns={"prediction": "score"}),
            f"{FILE} has the columns id, score; classic takes id, and prediction or probability.",
        ),
        (
            lambda made: made.assign(id=made["id"].where(made.index > 0)),
            f"{FILE} has 1 rows without id; predict again.",
        ),
    ],
    ids=["missing", "extra", "duplicate", "other round", "null", "text", "above 1", "0", "constant", "empty", "column",
         "no id"],
)  # fmt: skip
def test_a_classic_file_that_numerai_should_not_get(
    at_round: Scene, change: Callable[[pd.DataFrame], pd.DataFrame], sentence: str
) -> None:
    write_predicted(at_round.runs, "classic", CLASSIC, {"lightgbm": changed(change)})
    assert refused(at_round, CLASSIC) == sentence


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"round": 1099}, " is of round 1099, and round 1100 is the current one; predict again."),
        (
            {"data_version": "v5.0"},
            " is of data version v5.0, and the live file of classic round 1100 of v5.3; train a run on it.",
        ),
    ],
)
def test_predictions_of_another_round_or_version(at_round: Scene, facts: dict[str, object], sentence: str) -> None:
    write_predicted(at_round.runs, "classic", CLASSIC, {"lightgbm": frame(CLASSIC)}, **facts)
    assert refused(at_round, CLASSIC) == "/runs/classic/rounds/2026-11-30" + sentence


def test_predictions_of_other_live_rows(at_round: Scene) -> None:
    write_predicted(at_round.runs, "classic", CLASSIC, {"lightgbm": frame(CLASSIC, 1099)}, 1099)
    assert refused(at_round, CLASSIC) == (
        "run classic has no predictions for the live rows of classic round 1100; say jobs/predict.py --run classic."
    )


def test_predictions_of_the_same_ids_in_another_file(at_round: Scene) -> None:
    live = {"ids_sha256": ids_hash(names(CLASSIC)), "file_sha256": "0" * 64}
    write_predicted(at_round.runs, "classic", CLASSIC, {"lightgbm": frame(CLASSIC)}, live=live)
    assert refused(at_round, CLASSIC).endswith("say jobs/predict.py --run classic --force.")
    live["file_sha256"] = hashlib.sha256(at_round.state.files["v5.3/live.parquet"].read_bytes()).hexdigest()
    write_predicted(at_round.runs, "classic", CLASSIC, {"lightgbm": frame(CLASSIC)}, live=live)
    assert at_round.call(CLASSIC).code == Code.DONE


def test_a_file_that_was_changed_after_it_was_predicted(at_round: Scene) -> None:
    file = at_round.runs / "classic/rounds" / DATE / "predictions/lightgbm.csv"
    file.write_text(file.read_text().replace("0.5", "0.6"))
    assert refused(at_round, CLASSIC) == (
        f"{FILE} was changed after it was predicted; remove /runs/classic/rounds/{DATE} and predict again."
    )


def test_a_prediction_that_the_run_does_not_have(at_round: Scene) -> None:
    found = refused(at_round, CLASSIC, "submit.slots={ours: {run: classic, prediction: blend}}")
    assert found == f"run classic has no prediction 'blend'; in /runs/classic/rounds/{DATE} are lightgbm."


def test_a_manifest_of_another_version(at_round: Scene) -> None:
    manifest = at_round.runs / "classic/rounds" / DATE / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 2}))
    assert refused(at_round, CLASSIC).startswith(f"/runs/classic/rounds/{DATE}/manifest.json is of another version")


def test_predictions_unlike_their_band(at_round: Scene) -> None:
    bands = {"lightgbm": {"examples": [0.95, 0.99], "benchmark:v53_lgbm": None}}
    write_predicted(at_round.runs, "classic", CLASSIC, {"lightgbm": frame(CLASSIC)}, bands=bands)
    assert refused(at_round, CLASSIC) == (
        f"{FILE} has a rank correlation of +0.928 with examples on the live rows, outside of +0.950 to +0.990, the "
        "band of validation eras; look at the live data and the model, or set submit.bands."
    )
    found = at_round.call(CLASSIC, "submit.bands={examples: [0.5, 0.99]}")
    assert found.code == Code.DONE
    assert "  rank correlation with examples +0.928 (usual +0.500 to +0.990)" in found.lines


def test_a_benchmark_that_predictions_are_unlike_is_told_and_refuses_only_where_asked(at_round: Scene) -> None:
    bands = {"lightgbm": {"examples": None, "benchmark:v53_lgbm": [0.95, 0.99]}}
    write_predicted(at_round.runs, "classic", CLASSIC, {"lightgbm": frame(CLASSIC)}, bands=bands)
    assert "outside of +0.950 to +0.990" in refused(
        at_round, CLASSIC, "submit.bands={benchmark:v53_lgbm: [0.95, 0.99]}"
    )
    found = at_round.call(CLASSIC)
    assert found.code == Code.DONE
    line = "  rank correlation with benchmark:v53_lgbm +0.928 (usual +0.950 to +0.990, WARNING: outside)"
    assert line in found.lines
    assert json.loads(at_round.ledger.read_text().splitlines()[-1])["apart"] == ["benchmark:v53_lgbm"]


def test_predictions_unlike_their_predecessors(at_round: Scene) -> None:
    upside_down = frame(CLASSIC).assign(prediction=lambda made: 1 - made["prediction"])
    write_run(at_round.runs, "older", "classic")
    write_predicted(at_round.runs, "older", CLASSIC, {"linear": upside_down})
    draw = np.random.default_rng(5)
    for era in range(1, 31):  # in validation both said much the same
        base = draw.normal(size=40)
        for run, model in (("classic", "lightgbm"), ("older", "linear")):
            place = at_round.runs / run / f"oof.parquet/model={model}/fold=0"
            place.mkdir(parents=True, exist_ok=True)
            said = pd.DataFrame({"id": [f"n{row}" for row in range(40)], "era": era, "prediction": base})
            said = said.assign(prediction=said["prediction"] + 0.3 * draw.normal(size=40))
            said.to_parquet(place / f"{era}.parquet", index=False)
    slots = "submit.slots={ours: {run: classic, predecessor: older}}"
    found = refused(at_round, CLASSIC, slots)
    assert found.startswith(
        f"{FILE} has a rank correlation of -1.000 with predecessor on the live rows, outside of +0.8"
    )

    write_predicted(at_round.runs, "older", CLASSIC, {"linear": frame(CLASSIC, seed=9)})
    assert at_round.call(CLASSIC, slots, "submit.bands={predecessor: [0.5, 1.0]}").code == Code.DONE


def test_others_that_cover_too_little_are_not_compared(at_round: Scene) -> None:
    made = frame(CLASSIC)
    few = pd.Series([0.1, 0.9], index=made["id"].iloc[:2])
    live = LiveFiles(None, "v5.3", Path("."))  # type: ignore[arg-type]
    bands = {"examples": (0.1, 0.2), "gone": (0.1, 0.2)}
    assert check_bands(Candidate("x.csv", made, live), {"examples": few}, bands)[0] == [
        "examples not compared: it has too few of these rows",
        "gone not compared: its live predictions are not there",
    ]


class TestSignals:
    FILE = "/runs/signals/rounds/2026-11-30/predictions/lightgbm.csv"

    def test_too_few_names_of_the_universe(self, at_round: Scene) -> None:
        made = frame(SIGNALS)
        made["numerai_ticker"] = made["numerai_ticker"].where(made.index < 99, "NO" + made["numerai_ticker"])
        write_predicted(at_round.runs, "signals", SIGNALS, {"lightgbm": made})
        assert refused(at_round, SIGNALS) == (
            f"{self.FILE} has 99 names of the live universe, and Numerai takes no fewer than 100; give prices of more "
            "tickers, or mend the map of tickers."
        )

    def test_a_stale_date(self, at_round: Scene) -> None:
        folder = write_predicted(at_round.runs, "signals", SIGNALS, {"lightgbm": frame(SIGNALS)}, date="2026-11-27")
        (at_round.runs / "signals/rounds" / DATE).rename(at_round.folder / "aside")
        assert folder.exists()
        assert refused(at_round, SIGNALS) == (
            "run signals has no predictions for the live rows of signals round 1100; say jobs/predict.py --run signals."
        )

    def test_names_that_are_not_numerais(self, at_round: Scene) -> None:
        made = frame(SIGNALS).rename(columns={"numerai_ticker": "ticker"})
        write_predicted(at_round.runs, "signals", SIGNALS, {"lightgbm": made})
        assert refused(at_round, SIGNALS) == (
            f"{self.FILE} names its rows by ticker, and the live file of signals round 1100 by numerai_ticker or "
            "composite_figi; train the run with signals.path, so that names are Numerai's."
        )

    def test_names_that_the_server_will_drop_are_told(self, at_round: Scene) -> None:
        made = frame(SIGNALS)
        made["numerai_ticker"] = made["numerai_ticker"].where(made.index < 120, "NO" + made["numerai_ticker"])
        write_predicted(at_round.runs, "signals", SIGNALS, {"lightgbm": made})
        share = "120 of the 150 names of the live universe (80.0%)"
        line = f"  {share}, .5 for the others; 30 names outside it will be dropped"
        assert line in at_round.call(SIGNALS).lines


@pytest.mark.parametrize("source", ["synthetic", "classic_synthetic", "classic"])
def test_a_run_of_invented_data_is_never_sent_to_numerai(at_round: Scene, source: str) -> None:
    write_run(at_round.runs, "demo", source)
    model = at_round.runs / "demo/models/lightgbm/final/model.json"
    model.parent.mkdir(parents=True)
    model.write_text(json.dumps({"data": {"invented": True}}))
    places = [f"run.dir={at_round.runs}", f"submit.dir={at_round.folder}/rounds"]
    config = load([], [*places, "submit.slots.ours.run=demo"])  # for Numerai itself: nobody is asked
    found = handled(config, PlainProgress(), send=False)
    assert (found.code, found.lines) == (
        Code.BLOCKED,
        ("ours: run demo learned from invented data; its predictions are never sent to Numerai.",),
    )


def test_predictions_of_invented_rows_are_never_sent_to_numerai(at_round: Scene) -> None:
    folder = write_predicted(at_round.runs, "classic", CLASSIC, {"lightgbm": frame(CLASSIC)}, invented=True)
    with pytest.raises(InputError, match="run classic learned from invented data; such predictions are never sent"):
        check_origin(read(folder), LiveFiles(None, "v5.3", folder), is_real=True)  # type: ignore[arg-type]
    assert at_round.call(CLASSIC).code == Code.DONE  # at the stand-in


def test_an_optional_file_that_does_not_come_costs_only_its_comparison(at_round: Scene) -> None:
    at_round.state.faults.add(Fault("GET", "slow", times=2), Fault("GET", "status", times=2, status=403))
    found = at_round.call(CLASSIC)
    assert found.code == Code.DONE
    assert not [line for line in found.lines if "examples" in line or "benchmark" in line]


def test_a_needed_file_that_does_not_come_is_trouble_and_no_refusal(at_round: Scene) -> None:
    at_round.state.faults.add(Fault("GET", "status", status=403))
    found = at_round.call(CLASSIC)
    assert (found.code, at_round.held(CLASSIC)) == (Code.FAILED, [])
    assert "v5.3/features.json: the server answers 403" in found.lines[0]
    assert at_round.call(CLASSIC).code == Code.DONE


def test_a_live_file_without_rows(at_round: Scene) -> None:
    live = at_round.state.files["v5.3/live.parquet"]
    pd.read_parquet(live).iloc[:0].to_parquet(live)
    assert refused(at_round, CLASSIC).endswith(
        "rounds/live/classic-1100/live.parquet: the live file of classic round 1100 has no rows; wait for another one."
    )


def test_a_live_file_that_is_still_that_of_the_round_before(at_round: Scene) -> None:
    write_live(at_round.folder / "rounds/live/earlier")
    place = at_round.folder / "rounds/live/classic-1099"
    place.mkdir(parents=True)
    (at_round.folder / "rounds/live/earlier/v5.3-live.parquet").rename(place / "live.parquet")
    found = at_round.call(CLASSIC)
    assert (found.code, at_round.held(CLASSIC)) == (Code.FAILED, [])
    assert "Numerai still serves the live file of round 1099" in found.lines[0]


def test_a_data_version_that_numerai_does_not_serve(at_round: Scene) -> None:
    del at_round.state.files["v5.3/live.parquet"]
    assert refused(at_round, CLASSIC) == (
        "classic: classic round 1100: v5.3/live.parquet is not at Numerai; train on a version that it serves."
    )


def test_a_model_that_the_account_does_not_have(at_round: Scene) -> None:
    found = refused(at_round, CLASSIC, "submit.slots={other: {run: classic}}")
    assert found == "other: submit.slots: the account has no classic model other; it has ours."


def test_a_run_that_is_not_there_costs_its_own_slot_only(at_round: Scene) -> None:
    found = at_round.call(CLASSIC, "submit.slots={ghost: {run: ghost}, ours: {run: classic}}")
    assert found.code == Code.BLOCKED
    assert found.lines[0].startswith("ghost: ")
    assert "holds no finished run" in found.lines[0]
    assert at_round.state.effective(at_round.models[CLASSIC], NUMBER) == at_round.content(CLASSIC)


def test_a_run_of_another_version_costs_its_own_slot_only(at_round: Scene) -> None:
    (at_round.runs / "odd").mkdir()
    of_another = "is of another version of eraflow; train the run anew."
    torn = "is no whole manifest; train the run anew."
    for content, end in (('{"config": {"source": "classic"}}', of_another), ("{", torn), ("[]", of_another)):
        (at_round.runs / "odd/run.json").write_text(content)
        found = at_round.call(CLASSIC, "submit.slots={other: {run: odd}, ours: {run: classic}}")
        assert found.lines[0].endswith(f"odd/run.json {end}")
        assert at_round.state.effective(at_round.models[CLASSIC], NUMBER) == at_round.content(CLASSIC)


def test_a_run_from_before_a_section_that_decides_nothing_is_sent(at_round: Scene) -> None:
    file = at_round.runs / "classic/run.json"
    manifest = json.loads(file.read_text())
    del manifest["config"]["explain"]
    file.write_text(json.dumps(manifest))
    assert at_round.call(CLASSIC).code == Code.DONE


def test_an_odd_manifest_of_another_round_stops_nothing(at_round: Scene) -> None:
    for day, content in (("2026-11-20", "{"), ("2026-12-09", '{"format": 9}'), (".2026-11-30-ab.part", "")):
        (at_round.runs / "classic/rounds" / day).mkdir()
        (at_round.runs / "classic/rounds" / day / "manifest.json").write_text(content)
    assert at_round.call(CLASSIC).code == Code.DONE


def test_a_predecessor_whose_file_was_changed_is_not_compared(at_round: Scene) -> None:
    write_run(at_round.runs, "older", "classic")
    folder = write_predicted(at_round.runs, "older", CLASSIC, {"linear": frame(CLASSIC)})
    (folder / "predictions/linear.csv").write_text("id,prediction\n")
    found = at_round.call(CLASSIC, "submit.slots={ours: {run: classic, predecessor: older}}")
    assert found.code == Code.DONE
    (compared,) = [line for line in found.lines if "predecessor" in line]
    assert compared.startswith("  predecessor older not compared: ")
    assert "was changed after it was predicted" in compared


def test_a_refusal_is_in_the_books_once(at_round: Scene) -> None:
    write_predicted(at_round.runs, "classic", CLASSIC, {"lightgbm": frame(CLASSIC).iloc[1:]})
    for _ in range(3):
        at_round.call(CLASSIC)
    assert at_round.events() == ["refused"]


def test_a_slot_can_be_named_and_must_be_there(at_round: Scene) -> None:
    with pytest.raises(InputError, match=r"--slots other: submit.slots has no such slot; it has ours"):
        at_round.call(CLASSIC, slots=["other"])
    with pytest.raises(InputError, match=r"submit.slots names none"):
        at_round.call(CLASSIC, "submit.slots={}")


def test_a_download_that_broke_off_is_gone_on_with(at_round: Scene) -> None:
    at_round.state.faults.add(Fault("GET", "half", times=2))
    assert at_round.call(CLASSIC).code == Code.DONE
    assert len(frame(CLASSIC)) == ROWS
