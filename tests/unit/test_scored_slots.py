"""Which rounds of a slot its charts count: since its recipe, and since the refit that an alarm called for."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import numpy as np
import pandas as pd
import pytest
from tests.rounds import CLASSIC, NUMBER, OPENS, SLOT, Scene, frame, scene, write_predicted
from tests.unit.test_champions import ruled

from eraflow.monitoring.calibration import overlapping
from eraflow.monitoring.champions import ALARM, Champion
from eraflow.monitoring.promotion import Ruling
from eraflow.pipeline import finished, scored_slots
from eraflow.pipeline.scored_slots import Charted, charted
from eraflow.rounds.ledger import Event, Ledger
from eraflow.rounds.predicted import all_predicted

REFIT, LATER = "main-0002", "main-0003"
ERAS, BEFORE, SINCE = 240, 300, 60  # validated eras; rounds of the first run, which has turned, and of those after it
FIRST = NUMBER - BEFORE - SINCE


@pytest.fixture
def at_round(tmp_path: Path) -> Iterator[Scene]:
    """Three runs of one recipe: the first has turned, the second is as validated, and the third follows it."""
    with scene(tmp_path) as made:
        draw, books = np.random.default_rng(1), Ledger(made.folder / "rounds")
        values = 0.02 + 0.02 * overlapping(draw, 1, ERAS, 4)[0]
        for run in (CLASSIC, REFIT, LATER):
            folder = made.runs / run
            folder.mkdir(exist_ok=True)
            (folder / "run.json").write_bytes((made.runs / CLASSIC / "run.json").read_bytes())
            scores = {"model": "lightgbm", "era": range(1, ERAS + 1), "metric": "numerai_corr", "value": values}
            pd.DataFrame(scores).to_csv(folder / "per_era.csv", index=False)
            facts = {"lightgbm": {"numerai_corr": {"eras": ERAS, "effective_eras": ERAS / 4}}}
            (folder / "summary.json").write_text(json.dumps(facts))
            write_predicted(made.runs, run, CLASSIC, {"lightgbm": frame(CLASSIC)})
        for number in range(FIRST, NUMBER):
            run = CLASSIC if number < NUMBER - SINCE else REFIT if number < NUMBER - SINCE // 2 else LATER
            facts = {"tournament": CLASSIC, "slot": SLOT[CLASSIC], "round": number, "origin": f"{run}/lightgbm"}
            books.add(Event.EFFECTIVE, OPENS, **facts)
        yield made


def charts(made: Scene, champion: Champion) -> Charted:
    draw = np.random.default_rng(2)
    turned = -0.03 + 0.02 * overlapping(draw, 1, BEFORE, 20)[0]
    values = np.concatenate([turned, 0.02 + 0.02 * overlapping(draw, 1, SINCE, 20)[0]])
    rows = pd.DataFrame({
        "tournament": CLASSIC, "slot": SLOT[CLASSIC], "round": range(FIRST, NUMBER), "score": "canon_corr20",
        "version": "v1", "value": values, "percentile": 0.5, "date": "2026-09-01",
    })  # fmt: skip
    config = made.config([CLASSIC], f"submit.slots={{{SLOT[CLASSIC]}: {{run: 'champion:main'}}}}")
    slot = config.submit.slots[SLOT[CLASSIC]].model_copy(update={"run": champion.run})
    (newest,), _ = all_predicted(made.runs / champion.run)
    return charted(made.runs, config, slot, rows, newest, Ledger(made.folder / "rounds"))


def test_charts_begin_anew_with_the_refit_that_an_alarm_called_for(at_round: Scene) -> None:
    champion = Champion.of(at_round.runs, "main")
    champion.decide(1, ruled(Ruling.INSTALL, CLASSIC))
    champion.decide(2, ruled(Ruling.REFIT, REFIT, due=["13 eras have passed, and retrain.every is 13"]))
    scheduled = charts(at_round, champion)
    assert (scheduled.status.level, len(scheduled.frame)) == ("retrain", BEFORE + SINCE)

    champion.decide(2, ruled(Ruling.REFIT, REFIT, due=[f"{ALARM} of ours: canon_corr20 has fallen"]))
    champion.decide(3, ruled(Ruling.REFIT, LATER, due=["13 eras have passed, and retrain.every is 13"]))
    found = charts(at_round, champion)
    assert (found.status.level, found.frame["round"].min(), len(found.frame)) == ("ok", NUMBER - SINCE, SINCE)
    assert f"its charts begin with {REFIT}, which an alarm called for, in round {NUMBER - SINCE}" in found.notes

    champion.decide(4, ruled(Ruling.ROLL_BACK, REFIT))
    champion.decide(5, ruled(Ruling.ROLL_BACK, CLASSIC))  # what has alarmed plays again
    assert charts(at_round, champion).status.level == "retrain"


def test_a_refit_that_has_sent_nothing_yet_has_no_alarm(at_round: Scene) -> None:
    champion = Champion.of(at_round.runs, "main")
    champion.decide(1, ruled(Ruling.INSTALL, CLASSIC))
    champion.decide(2, ruled(Ruling.REFIT, "main-0009", due=[f"{ALARM} of ours: canon_corr20 has fallen"]))
    copytree(at_round.runs / LATER, at_round.runs / "main-0009")
    found = charts(at_round, champion)
    assert (found.status.level, found.notes[0]) == ("ok", "no score of its rounds is resolved yet")
    assert found.notes[1].endswith("none of its rounds is in the books yet")


def test_the_settings_of_a_run_are_read_once_for_all_its_rounds(
    at_round: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion, read = Champion.of(at_round.runs, "main"), Counter[str]()
    champion.decide(1, ruled(Ruling.INSTALL, CLASSIC))

    def settings_of(base: Path, name: str, option: str) -> object:
        read[name] += 1
        return finished.settings_of(base, name, option)

    monkeypatch.setattr(scored_slots, "settings_of", settings_of)
    charts(at_round, champion)

    assert set(read) == {CLASSIC, REFIT, LATER}
    assert max(read.values()) <= 2  # of the run that plays now, and as one that filled rounds
