"""What a round sends of a champion, and what a command about champions refuses; no Spark."""

import json
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.rounds import CLASSIC, NUMBER, Scene, frame, scene, write_manifest, write_predicted
from tests.unit.test_champions import ruled

from eraflow.cli import job
from eraflow.config import Config, load
from eraflow.errors import InputError
from eraflow.monitoring.champions import Champion
from eraflow.monitoring.promotion import Ruling
from eraflow.outcome import Code
from eraflow.pipeline.finished import settings_of
from eraflow.pipeline.recipes import recipe_hash, varied
from eraflow.pipeline.retraining import Retraining, config_of_champion, nothing_more, retrain
from eraflow.progress import PlainProgress
from eraflow.whole_files import write_json

OPTIONS = runpy.run_path(str(Path(__file__).parents[2] / "jobs/retrain.py"))["OPTIONS"]
SLOTS = "submit.slots={ours: {run: 'champion:main'}}"


@pytest.fixture
def round_at(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        yield made


def code(base: Path, *options: str) -> int:
    return job("", retrain, [*options, "--set", f"run.dir={base}"], OPTIONS, config_of_champion, lazily=True)


def test_a_promotion_changes_what_the_next_call_sends_and_no_setting(round_at: Scene) -> None:
    newer = frame(CLASSIC, seed=2)
    write_manifest_of(round_at, "better")
    write_predicted(round_at.runs, "better", CLASSIC, {"lightgbm": newer})
    champion = Champion.of(round_at.runs, "main")

    champion.decide(1, ruled(Ruling.INSTALL, CLASSIC))
    assert "ours: classic/lightgbm is effective in classic round" in round_at.call(CLASSIC, SLOTS).lines[0]

    champion.decide(2, ruled(Ruling.PROMOTE, "better"))
    assert "ours: better/lightgbm is effective in classic round" in round_at.call(CLASSIC, SLOTS).lines[0]
    assert round_at.held(CLASSIC)[-1] == (NUMBER, newer.to_csv(index=False).encode())

    champion.decide(3, ruled(Ruling.ROLL_BACK, CLASSIC))
    assert "ours: classic/lightgbm is effective in classic round" in round_at.call(CLASSIC, SLOTS).lines[0]


def test_a_slot_of_a_champion_that_is_not_there_costs_only_itself(round_at: Scene) -> None:
    found = round_at.call(CLASSIC, "submit.slots={ours: {run: 'champion:main'}, other: {run: classic}}", send=False)

    assert found.code == Code.BLOCKED
    assert any(line.startswith("ours: there is no champion main below") for line in found.lines)
    assert any(line.startswith("other: classic/lightgbm may be sent") for line in found.lines)


def write_manifest_of(made: Scene, name: str) -> None:
    (made.runs / name).mkdir()
    (made.runs / name / "run.json").write_text((made.runs / CLASSIC / "run.json").read_text())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), "there is no champion main below {} (there is none yet); jobs/retrain.py --install RUN"),
        (("--now",), "there is no champion main below {} (there is none yet)"),
        (("--rollback",), "there is no champion main below {} (there is none yet)"),
        (("--install", "gone"), "{}/gone holds no finished run; finished are mine."),
        (
            ("--rollback", "--history"),
            "--install, --now, --rollback and --history are four commands; give one of them.",
        ),
    ],
)
def test_without_a_champion_a_command_says_how_to_get_one(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    reason: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    write_manifest(tmp_path / "mine", load([], []))

    assert code(tmp_path, *options) == 2
    assert reason.format(tmp_path) in capsys.readouterr().err
    assert not list(tmp_path.glob("_champions/main/*.json"))


def test_history_of_no_champion_is_nothing_to_do(tmp_path: Path) -> None:
    assert code(tmp_path, "--history") == Code.NOTHING_TO_DO


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    return tmp_path / "other.yml"


def variant(overlay: Path, text: str) -> Config | None:
    overlay.write_text(text)
    return varied(load([], []), [str(overlay)])


def test_a_challenger_is_the_champions_settings_and_what_differs(overlay: Path) -> None:
    found = variant(overlay, "models: {lightgbm: {trees: 50}, ridge: {kind: linear}}")

    assert found is not None
    assert (found.models["lightgbm"].trees, found.models["ridge"].penalty) == (50, 0.1)
    assert recipe_hash(found) != recipe_hash(load([], []))
    assert variant(overlay, "run: {name: another}\nmodels: {lightgbm: {trees: 300}}") is None  # the same recipe
    assert varied(load([], []), []) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "targets: {main: target_raw_20}",
            r"held against \(targets.main was 'target_neutral_20', is",
        ),
        ("validation: {folds: 7}", r"held against \(validation.folds was 5, is 7\)"),
        ("models: {lightgbm: {tree: 7}}", r"models.lightgbm.tree"),
    ],
)
def test_a_challenger_whose_scores_would_not_compare_is_refused(overlay: Path, text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        variant(overlay, text)


def test_where_data_lie_is_no_part_of_a_recipe() -> None:
    one, other = (load([], [f"prices.path=/{name}", f"tables.root=/{name}", f"run.name={name}"]) for name in "ab")

    assert recipe_hash(one) == recipe_hash(other)
    assert recipe_hash(one) == recipe_hash(Config.model_validate(json.loads(json.dumps(one.resolved()))))
    assert recipe_hash(one) != recipe_hash(load([], ["run.seed=3"]))


@pytest.mark.parametrize(
    ("eras", "passed", "waits"),
    [
        (300, None, None),
        (299, None, "waits until mine has 300 scored eras (retrain.compare_from); it has 299"),
        (300, 25, "waits until 26 eras have passed since it was compared (retrain.compare_every); 25 have"),
        (300, 26, None),
    ],
)
def test_a_challenger_is_compared_as_seldom_as_the_stated_rate_takes(
    overlay: Path, eras: int, passed: int | None, waits: str | None
) -> None:
    overlay.write_text("models: {lightgbm: {trees: 50}}")
    config, base = load([], [f"retrain.challenger=[{overlay}]"]), overlay.parent
    other = varied(config, config.retrain.challenger)
    assert other is not None
    write_scored(base / "mine", config, eras, live=1000)
    champion = Champion.of(base, "main")
    facts = {"recipe": recipe_hash(config), "live": 1000}
    champion.decide(1, ruled(Ruling.INSTALL, "mine") | {"run": facts})
    if passed is not None:
        kept = {"recipe": recipe_hash(other), "live": 1000 - passed, "found": {"verdict": "not told apart"}}
        champion.decide(2, ruled(Ruling.KEEP, "mine", compared={"challenger": kept}) | {"run": facts})

    desk = Retraining(config, base, champion, PlainProgress(), nothing_more)
    early = desk._too_early(desk._standing)

    assert (early is None) if waits is None else (early is not None and waits in early)
    # With no newer data --now has nothing to do then, and the first comparison does not ask for itself.
    assert desk._due(0, 5, False, True) == [
        *(["the challenger's recipe was not compared before"] if waits is None and passed is None else []),
        *(["somebody said --now"] if waits is None else []),
    ]


def test_a_run_of_before_a_setting_of_monitoring_changed_is_still_read(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    write_manifest(tmp_path / "mine", load([], ["monitor.eras=50"]))
    file = tmp_path / "mine/run.json"
    manifest = json.loads(file.read_text())
    manifest["config"]["monitor"]["allowance"] = 0.5  # which there is no more
    del manifest["config"]["retrain"]["compare_from"]
    file.write_text(json.dumps(manifest))

    config = settings_of(tmp_path, "mine", "--run")[1]

    assert (config.monitor.eras, config.retrain.compare_from) == (50, 300)


def write_scored(run: Path, config: Config, eras: int, live: int) -> None:
    """A finished run with scores of so many eras, that has seen the era `live`."""
    model = run / "models" / config.submission / "final/model.json"
    model.parent.mkdir(parents=True)
    model.write_text(json.dumps({"live": live}))
    write_manifest(run, config)
    rows = "".join(f"{config.submission},{era},numerai_corr,0.0{era % 7}\n" for era in range(1, eras + 1))
    (run / "per_era.csv").write_text(f"model,era,metric,value\n{rows}")
    facts = {config.submission: {"numerai_corr": {"eras": eras, "effective_eras": eras / 4}}}
    (run / "summary.json").write_text(json.dumps(facts))


@pytest.mark.parametrize(
    ("level", "run", "passed", "settings", "is_due"),
    [
        ("retrain", "mine", 6, (), True),
        ("retrain", "mine", 5, (), False),  # no label of the champion's own can be known yet
        ("warn", "mine", 6, (), False),
        ("retrain", "before", 6, (), False),  # told of the run that filled the slot before
        ("retrain", "mine", 6, ("retrain.alarms=false",), False),
    ],
)
def test_an_alarm_makes_a_refit_due(
    tmp_path: Path, level: str, run: str, passed: int, settings: tuple[str, ...], is_due: bool
) -> None:
    config = load([], [f"submit.dir={tmp_path}/rounds", *settings])
    (tmp_path / "mine").mkdir()
    write_manifest(tmp_path / "mine", config)
    champion = Champion.of(tmp_path, "main")
    champion.decide(1, ruled(Ruling.INSTALL, "mine"))
    said = {"level": level, "run": run, "score_reasons": ["numerai_corr fell"], "reasons": []}
    write_json(tmp_path / "rounds/monitor/monitor.json", {"slots": {"ours": said}})

    due = Retraining(config, tmp_path, champion, PlainProgress(), nothing_more)._due(passed, 5, True, False)

    assert due == (["the monitor says retrain of ours: numerai_corr fell"] if is_due else [])
