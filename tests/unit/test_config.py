"""Configuration: layers in their order, and one clear sentence for whatever does not fit."""

from pathlib import Path

import pytest
import yaml

from eraflow.config import conf_dir, fingerprint, load
from eraflow.config.search import changed
from eraflow.errors import InputError
from eraflow.pipeline.folder import RunFolder
from eraflow.whole_files import write_json


def message(overlays: list[str], *settings: str) -> str:
    with pytest.raises(InputError) as refused:
        load(overlays, settings)
    return str(refused.value)


def test_a_ranking_that_would_stop_early_is_refused() -> None:
    settings = ["models.lightgbm.objective=lambdarank", "models.lightgbm.early_stopping_rounds=20"]
    with pytest.raises(InputError, match="early_stopping_rounds: objective=lambdarank cannot stop early; say 0"):
        load([], settings)


def test_later_layers_win_and_leave_other_keys_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text("run: {name: mine, seed: 1}\nmodels: {lightgbm: {trees: 5}}\n", encoding="utf-8")

    config = load(["demo.yml", str(tmp_path / "mine.yml")], ["run.seed=2", "validation.purge=9"])

    base = yaml.safe_load((conf_dir() / "base.yml").read_text(encoding="utf-8"))
    assert (config.run.name, config.run.seed, config.models["lightgbm"].trees) == ("mine", 2, 5)
    assert config.tables.root == "var/tables/demo"
    assert config.validation.purge == 9
    assert config.models["lightgbm"].num_leaves == base["kinds"]["lightgbm"]["num_leaves"]


def test_a_model_takes_its_own_settings_then_its_presets_then_its_kinds() -> None:
    small = load([], ["models.fast.preset=small", "models.fast.trees=7", "kinds.lightgbm.seeds=3"]).models

    assert list(small) == ["lightgbm", "fast"]
    assert (small["fast"].trees, small["fast"].num_leaves, small["fast"].learning_rate) == (7, 31, 0.01)
    assert (small["fast"].seeds, small["lightgbm"].seeds, small["lightgbm"].trees) == (3, 3, 300)
    assert list(load([], ["models.fast.preset=small", "models.lightgbm=null"]).models) == ["fast"]


def test_a_kind_may_have_a_preset_of_its_own() -> None:
    found = load([], ["kinds.lightgbm.preset=standard", "models.plain={kind: lightgbm, preset: null}"]).models
    assert (found["lightgbm"].preset, found["plain"].preset) == ("standard", None)
    assert (found["lightgbm"].trees, found["plain"].trees) == (20000, 300)  # type: ignore[union-attr]
    with pytest.raises(InputError, match="there is no preset 'huge'"):
        load([], ["kinds.lightgbm.preset=huge"])


@pytest.mark.parametrize("name", ["1234", "2026-11-25", "4.5"])
def test_a_number_or_a_date_is_a_name(name: str) -> None:
    assert load([], [f"run.name={name}"]).run.name == name


def test_a_models_network_takes_what_it_does_not_say_from_feature_network() -> None:
    settings = ["models.lightgbm.network.interactions=4", "feature_network.mutual=0.5"]
    network = load([], settings).models["lightgbm"].model_dump()["network"]

    assert (network["interactions"], network["mutual"], network["degree"]) == (4, 0.5, 10)
    assert load([], ["feature_network.mutual=0.5"]).decisive() == load([], []).decisive()


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ("vectors: 3", None),
        ("vectors: 12", "vectors is 12; it must be below the number of features, 12"),
        ("interactions: 67", "interactions is 67, and 12 features have 66"),
        ("triples: 221", "triples is 221, and 12 features have 220"),
        ("vectors: 3, degree: 11", "degree is 11, and 12 features make a graph of 10 at most"),
    ],
)
def test_what_few_features_cannot_give_is_told(settings: str, fault: str | None) -> None:
    network = load([], [f"models.x={{kind: linear, network: {{{settings}}}}}"]).models["x"].network
    assert network.fault(12) == fault


def test_an_ensemble_that_names_no_models_has_all_of_them() -> None:
    settings = [
        "models.linear.kind=linear",
        "models.other.kind=linear",
        "models.other=null",
        "ensembles.all.weights=ridge",
    ]
    assert load([], settings).ensembles["all"].models == ("lightgbm", "linear")


def test_what_no_model_uses_decides_nothing() -> None:
    assert load([], ["presets.small.trees=9"]).decisive() == load([], []).decisive()
    assert load([], ["kinds.lightgbm.trees=9"]).decisive() != load([], []).decisive()


def test_without_an_overlay_the_demo_is_meant() -> None:
    assert load([], []) == load(["conf/demo.yml"], [])


def test_every_overlay_of_the_project_is_valid() -> None:
    for path in conf_dir().glob("*.yml"):
        overlay = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert load([str(path)], []).run.name == overlay["run"].get("name", "eraflow")


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("null", None),
        ("/data/a b.csv", "/data/a b.csv"),
        ("a=b", "a=b"),
        ("[x", "[x"),
        ("", None),
        ("/data/a: b #1.csv", "/data/a: b #1.csv"),
        ("'null'", "null"),
    ],
)
def test_a_setting_is_yaml_or_stands_as_it_is(value: str, read: str | None) -> None:
    assert load([], [f"prices.path={value}"]).prices.path == read


def test_a_resolved_config_gives_itself_again() -> None:
    config = load([], ["targets.horizons=[20]"])
    assert type(config).model_validate(config.resolved()) == config
    assert fingerprint(config) == fingerprint(config.resolved())
    assert fingerprint(config) != fingerprint(load([], ["targets.horizons=[20, 40]"]))


def test_four_samples_of_each_fourth_era_cover_all_eras() -> None:
    eras = [*range(3, 20), *range(30, 41)]
    samples = [load([], ["sampling.every=4", f"sampling.offset={n}"]).sampling.eras(eras) for n in range(4)]

    assert sorted(era for sample in samples for era in sample) == eras
    assert load([], ["sampling.recent=5"]).sampling.eras(eras) == [36, 37, 38, 39, 40]
    assert load([], []).sampling.eras(eras) == eras


def test_settings_of_a_section_can_be_searched() -> None:
    space = "search={model: lightgbm, space: {selection.keep: {low: 0.1, high: 0.9}, trees: {low: 5, high: 50}}}"
    config = load([], [space])
    found = changed(config.models["lightgbm"], {"selection.keep": 0.2, "trees": 7})

    assert (found.selection.keep, found.selection.by, found.model_dump()["trees"]) == (0.2, "all", 7)
    assert config.decisive()["search"]["model"] == "lightgbm"
    assert "search" not in load([], []).decisive()


def test_a_half_life_is_told() -> None:
    assert str(load([], []).sampling) == "models learn from all rows"
    text = str(load([], ["sampling.half_life=104", "sampling.rows=0.5"]).sampling)
    assert text == "models learn from 50% of the rows; a row weighs half of one that is 104 eras younger"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("prices.format=yahoo", "prices.format: input should be 'auto', 'eraflow', 'yfinance'"),
        (
            "prices.ticker_from=.+_daily",
            "prices.ticker_from: no part of the pattern is in parentheses; put the ticker's",
        ),
        (
            "prices.ticker_from=(.+",
            "prices.ticker_from: it is no regular expression (missing ), unterminated subpattern",
        ),
        ("prices.date_format=MM/DD/YYYY", "prices.date_format: it names no day; write it as Python's strptime does"),
        ("prices.date_format=%H:%M", "prices.date_format: it names no day; write it as Python's strptime does"),
        ("prices.timezone=EST5", "prices.timezone: there is no such time zone; name one as America/New_York"),
        ("sampling.half_life=0", "sampling.half_life: input should be greater than 0 (given: 0)"),
        ("validation.purges=2", "--set validation.purges=2: unknown config key validation.purges; did you mean valid"),
        ("model.trees=2", "--set model.trees=2: unknown config key model; did you mean models"),
        ("models.lightgbm.tree=2", "unknown config key models.lightgbm.tree; did you mean models.lightgbm.trees?"),
        ("models.lightgbm.trees=0", "--set models.lightgbm.trees=0: models.lightgbm.trees: input should be greater"),
        ("models.other.kind=forest", "models.other.kind: there is no kind of model 'forest'; choose one of lightgbm"),
        ("models.other.preset=huge", "models.other.preset: there is no preset 'huge'; choose one of small, standard"),
        ("models.other.trees=2", "models.other.kind: there is no kind of model None; choose one of lightgbm"),
        ("models.other={kind: linear, penalty: 0}", "models.other.penalty: input should be greater than 0 (given: 0)"),
        ("models.other={kind: linear, trees: 9}", "unknown config key models.other.trees; "),
        (
            "kinds.linear.penalty=x",
            "--set kinds.linear.penalty=x: kinds.linear.penalty: input should be a valid number",
        ),
        ("ensembles.all.models=[other]", "ensembles.all.models: there is no model 'other'; choose from lightgbm"),
        ("ensembles.lightgbm.models=[lightgbm]", "ensembles.lightgbm: there is a model of this name; choose another"),
        (
            "ensembles.all={models: [lightgbm], weights: {linear: 1}}",
            "ensembles.all: weights must name each of the ens",
        ),
        ("ensembles.all={models: [lightgbm], weights: best}", "ensembles.all.weights"),
        (
            "ensembles.all={models: [lightgbm], neutral_to: [x]}",
            "ensembles.all: neutral_to names features, but neutrali",
        ),
        ("models.a/b.kind=lightgbm", "models.a/b: string should match pattern"),
        ("models.lightgbm=null", "models: no model is left; name at least one"),
        ("models.lightgbm.targets=[target_x]", "models.lightgbm.targets: there is no target 'target_x'; choose one of"),
        ("search.model=other", "search: space is empty; name the model's settings"),
        (
            "search={model: other, space: {trees: [1]}}",
            "search.model: there is no model 'other'; choose",
        ),
        ("search={model: lightgbm, space: {tree: [1]}}", "search.space.tree: lightgbm has no such setting"),
        ("search={model: lightgbm, space: {trees: [0, 9]}}", "search.space.trees: 0 does not fit (input should be gr"),
        (
            "search={model: lightgbm, space: {kind: [linear]}}",
            "search.space.kind: a search changes the",
        ),
        ("search.space.trees={low: 9, high: 3}", "search.space.trees: give a list of values, or low and a higher high"),
        ("run.submission=other", "run.submission: there is no model 'other'; choose one of lightgbm"),
        ("qqqq=2", "--set qqqq=2: unknown config key qqqq; conf/base.yml lists every key."),
        ("run.seed", "--set run.seed: write it as dotted.key=value, e.g. --set run.seed=7."),
        ("run..seed=1", "--set run..seed=1: write it as dotted.key=value, e.g. --set run.seed=7."),
        ("kinds.lightgbm.trees=many", "kinds.lightgbm.trees: input should be a valid integer"),
        ("kinds.lightgbm.trees=0", "kinds.lightgbm.trees: input should be greater than or equal to 1 (given: 0)"),
        ("run.name=../x", "run.name: string should match pattern"),
        ("kinds=3", "--set kinds=3: kinds is a section and takes no value; set one of its keys"),
        ("sampling.offset=1", "sampling: offset is 1; it must be below every=1"),
        ("source=excel", "source: input should be 'synthetic', 'prices', 'classic' or 'classic_synthetic' (given: 'ex"),
        ("network.look_backs=[60, 30]", "network: look_backs must ascend, each once"),
        (
            "models.lightgbm.network={}",
            "models.lightgbm.network: it asks for no columns; give one of inter",
        ),
        (
            "models.lightgbm.network.interaction=4",
            "unknown config key models.lightgbm.network.interaction; did you mean models.lightgbm.network.inter",
        ),
        (
            "models.lightgbm.network={interactions: 4, triples: 1, chosen_by: splits}",
            "models.lightgbm.network: a model's splits name pairs only; give triples: 0",
        ),
        (
            "models.other={kind: linear, network: {interactions: 4, chosen_by: splits}}",
            "models.other: network.chosen_by is splits, and a linear model has none; take graph or random",
        ),
        ("feature_network.degree=0", "feature_network.degree: input should be greater than or equal to 1 (given: 0)"),
        ("network.relearn=daily", "network.relearn: input should be 'never', 'weekly' or 'monthly' (given: 'daily')"),
        (
            "targets.main=target_x_20",
            "targets.main: there is no target 'target_x_20'; choose one of target_raw_20, target_sector_20",
        ),
        ("targets.main=target_raw_40", "targets.main: there is no target 'target_raw_40'; choose one of target_raw_20"),
    ],
)
def test_a_setting_that_does_not_fit_is_named_with_what_it_takes(setting: str, said: str) -> None:
    assert said in message([], setting)


def test_networks_need_prices() -> None:
    said = message(["classic-synthetic.yml"], "network.relearn=weekly")

    assert said.startswith(
        "--set network.relearn=weekly: network.relearn: networks over tickers are learned from prices"
    )


def test_a_missing_file_is_named_with_those_there_are() -> None:
    said = message(["nowhere.yml"])
    assert said.startswith("--config nowhere.yml: there is no such file;")
    assert "conf/demo.yml" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("run: [", "is no valid YAML: line 1: expected the node content"),
        ("x: 1\nrun: a: b", "is no valid YAML: line 2: mapping values are not allowed here"),
        ("\0", "is no YAML file: it holds something other than UTF-8 text."),
        ("- run", "must hold keys and values"),
        ("run:\n  nme: x\n", "unknown config key run.nme; did you mean run.name?"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(text, encoding="utf-8")

    found = message([str(path)])

    assert found.startswith(str(path))
    assert said in found
    assert "\n" not in found


def test_a_run_that_was_stopped_is_gone_on_with_and_of_other_settings_put_together_anew(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    identity, other = ({"config": {"models": {"mine": {"trees": trees}}}} for trees in (10, 11))

    assert not folder.claim("a", identity)
    folder.mark_done("mine-fold-1", {"train_eras": 3, "cells": ["one"]})
    folder.note_search("fold-1", "two")
    (folder.out_of_fold / "model=mine").mkdir(parents=True)
    assert not folder.claim("a", identity)
    assert folder.is_done("mine-fold-1")
    assert folder.facts("mine-fold-1") == {"train_eras": 3, "cells": ["one"]}
    assert folder.cells == {"one", "two"}

    assert not folder.claim("b", other)
    assert not folder.is_done("mine-fold-1")
    assert not folder.cells
    assert not folder.out_of_fold.exists()


def test_a_finished_run_is_not_written_over(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    identity, other = ({"config": {"models": {"mine": {"trees": trees}}}} for trees in (10, 11))
    folder.claim("a", identity)
    write_json(folder.path / "run.json", {})

    assert folder.claim("a", identity)
    with pytest.raises(
        InputError, match=r"holds another run \(config.models.mine.trees was 10, is 11\); choose another name"
    ):
        folder.claim("b", other)


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="is not empty and holds no run; choose another name"):
        RunFolder(tmp_path).claim("a", {})
    assert [entry.name for entry in tmp_path.iterdir()] == ["letter.txt"]
