"""What each setting means and where its value comes from."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from eraflow.config import conf_dir, load
from eraflow.config.meaning import Setting, described, meaning, sections
from eraflow.errors import InputError

NETWORK = "models.mine={kind: linear, network: {vectors: 2}}"
BASE = (conf_dir() / "base.yml").read_text(encoding="utf-8")


def one(key: str, *settings: str, overlays: tuple[str, ...] = ()) -> Setting:
    (setting,) = described(key, overlays, settings)
    return setting


def keys(values: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from keys(value, f"{above}{name}.")
        else:
            yield above + name


def test_every_setting_of_every_section_has_a_meaning() -> None:
    every = list(keys(load([str(conf_dir() / "base.yml")], []).resolved()))
    assert len(every) > 250
    assert [key for key in every if not meaning(key)] == []
    assert all(sections().values())


def test_no_value_of_base_yml_could_be_taken_for_a_comment() -> None:
    plain = yaml.safe_dump(yaml.safe_load(BASE), width=10**6)
    assert not re.search(r"\s#", plain)


def test_no_comment_goes_on_beside_the_next_key() -> None:
    assert [line for line in BASE.splitlines() if re.search(r"\S.*# \.\.\.|\.\.\.$", line)] == []


def test_a_default_is_base_ymls() -> None:
    setting = one("validation.embargo")
    assert (setting.value, setting.default, setting.is_default) == (0, 0, True)
    assert setting.meaning == "further eras dropped after a validation period where training follows it"


def test_the_last_layer_that_sets_a_value_is_its_origin(tmp_path: Path) -> None:
    file = tmp_path / "mine.yml"
    file.write_text("run: {seed: 5}\n")
    assert one("run.seed", overlays=(str(file),)).origin == str(file)
    assert one("run.seed", "run.seed=6", overlays=(str(file),)).origin == "--set run.seed=6"
    assert one("run.name", "run.seed=6", overlays=(str(file),)).origin == "conf/base.yml"
    assert one("run.name").origin == "conf/demo.yml"


@pytest.mark.parametrize(
    ("key", "settings", "by", "value"),
    [
        ("models.mine.trees", ("models.mine.kind=lightgbm",), "kinds.lightgbm.trees", 300),
        ("models.mine.trees", ("models.mine.preset=small",), "presets.small.trees", 2000),
        ("models.mine.trees", ("models.mine.preset=small", "models.mine.trees=7"), "models.mine.trees", 7),
        ("models.mine.network.degree", (NETWORK,), "feature_network.degree", 10.0),
        ("ensembles.blend.weights", ("ensembles.blend={}",), "ensemble.weights", "equal"),
        ("kinds.lightgbm.trees", ("kinds.lightgbm.trees=9",), "kinds.lightgbm.trees", 9),
    ],
)  # fmt: skip
def test_a_models_value_may_come_from_its_preset_or_kind(
    key: str, settings: tuple[str, ...], by: str, value: object
) -> None:
    setting = one(key, *settings)
    assert (setting.by, setting.value) == (by, value)
    assert setting.meaning


def test_the_meaning_of_what_has_no_line_is_that_of_the_line_it_is_in() -> None:
    assert meaning("explain.expected.rsi_14.sign") == meaning("explain.expected")
    assert meaning("kinds.random_forest.num_leaves") == meaning("kinds.lightgbm.num_leaves")


def test_a_section_gives_all_its_settings() -> None:
    found = {setting.key: setting.value for setting in described("tables", (), ())}
    tables = load([], []).tables
    assert found == {f"tables.{name}": value for name, value in tables.model_dump().items()}


@pytest.mark.parametrize(
    ("key", "near"),
    [("validaton.folds", "validation.folds"), ("runn", "run"), ("kinds.lightgbm.tree", "kinds.lightgbm.trees")],
)
def test_an_unknown_key_is_refused_with_the_nearest(key: str, near: str) -> None:
    with pytest.raises(InputError, match=rf"there is no setting {key}; did you mean .*{near}"):
        described(key, (), ())


def test_a_layer_that_does_not_fit_is_refused_first() -> None:
    with pytest.raises(InputError, match="unknown config key run\\.sed"):
        described("run.seed", (), ("run.sed=1",))
