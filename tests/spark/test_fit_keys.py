"""What enters the keys of fits and searches: what they use, and nothing else."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyspark.sql import SparkSession

from eraflow import definitions
from eraflow.config import Config, load
from eraflow.models.base import Training
from eraflow.models.lightgbm import SIDE_BY_SIDE
from eraflow.pipeline import dataset
from eraflow.pipeline.cells import Cells
from eraflow.pipeline.dataset import Eras
from eraflow.pipeline.fitting import Fitting
from eraflow.pipeline.folder import RunFolder
from eraflow.pipeline.searching import Searching
from eraflow.progress import PlainProgress
from eraflow.scoring import References
from eraflow.session import slots
from eraflow.spans import spans_from_numbers

ERAS = range(1, 101)
PLAIN = ("linear", "lightgbm", "random_forest", "spark_forest", "lstm", "transformer", "tokens", "l2gmom")
CHOOSY = "chooses={kind: linear, selection: {by: exposure, keep: 2}}"
WIDE = "wide={kind: linear, network: {interactions: 1}}"
PACKAGES = ("optuna", "synapse", "torch", "numba", "delta", "numerai_tools", "numpy")


@pytest.fixture
def data(spark: SparkSession) -> Any:
    """What keys are made of in a `Dataset`; no row is read."""
    table = spark.createDataFrame([], "id string, era int, features array<tinyint>, target float")
    eras = Eras(spans_from_numbers(ERAS, 20), overlap=5, live=ERAS[-1] + 1)
    return SimpleNamespace(
        training=Training(table, ("first", "second", "third"), "target", -1, reach={"target": 4}), eras=eras,
        spans=lambda targets: eras.spans, era_hashes=lambda targets: {era: f"hash of {era}" for era in ERAS},
        files=lambda eras: (), reading=(definitions.root(dataset.training),), references=References(), asset=None,
        reference_files=(), tables=(),
    )  # fmt: skip


def fitting(data: Any, config: Config, folder: Path) -> Fitting:
    return Fitting(config, data, Cells(folder, PlainProgress()))


@pytest.mark.parametrize(("small", "side_by_side"), [(None, False), (SIDE_BY_SIDE, True), (SIDE_BY_SIDE + 1, False)])
def test_fits_of_a_table_in_order_run_side_by_side_up_to_a_number_of_values(
    data: Any, tmp_path: Path, spark: SparkSession, small: int | None, side_by_side: bool
) -> None:
    data.training = replace(data.training, small=small)
    config = load([], ["models.ranked={kind: lightgbm, network: {interactions: 1}}"])
    fits = fitting(data, config, tmp_path)

    assert fits.at_once(config.models["lightgbm"]) == (slots(spark) if side_by_side else 1)
    assert fits.at_once(config.models["ranked"]) == 1


@pytest.fixture
def keys(data: Any, tmp_path: Path) -> Callable[..., dict[str, str]]:
    """By model the key of its fit, and of the search where one is searched."""

    def made(*settings: str) -> dict[str, str]:
        config = load([], ["models.lightgbm=null", *settings])
        fits = fitting(data, config, tmp_path)
        found = {name: fits.fit_key(model, fits.parts(model, list(ERAS))) for name, model in config.models.items()}
        if config.search.model is not None:
            search = Searching(config, data, fits, RunFolder(tmp_path), PlainProgress())
            found["search"] = search._key(config.models[config.search.model], list(ERAS))
        return found

    return made


EVERY = (*(f"models.{kind}.kind={kind}" for kind in PLAIN), f"models.{CHOOSY}", f"models.{WIDE}",
         "search.model=linear", "search.space={penalty: {low: 0.001, high: 1000, log: true}}")  # fmt: skip


def reached(data: Any, folder: Path, *settings: str) -> dict[str, set[str]]:
    """By model the modules whose code is in the key of its fit."""
    config = load([], ["models.lightgbm=null", *settings])
    fits = fitting(data, config, folder)
    return {
        name: {module.removeprefix("eraflow.") for module, _ in definitions.reached(*fits.roots(model))}
        for name, model in config.models.items()
    }


def test_code_that_a_fit_does_not_run_is_none_of_its_key(data: Any, tmp_path: Path) -> None:
    found = reached(data, tmp_path, *EVERY)

    assert {name for name, modules in found.items() if "models.selection" in modules} == {"chooses"}
    assert {name for name, modules in found.items() if "models.expansion" in modules} == {"wide"}
    trees = {"lightgbm", "random_forest"}
    assert {name for name, modules in found.items() if "models.lightgbm" in modules} == {*trees, "chooses"}
    graphs = {name for name, modules in found.items() if any(module.startswith("graphs.") for module in modules)}
    assert graphs == {"wide", "l2gmom"}
    others = {"registry", "search", "pipeline.classic", "sources.classic_labels", "scoring.metrics"}
    assert not {module for modules in found.values() for module in modules} & others


def test_another_version_of_a_package_makes_anew_what_uses_it(
    keys: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, plain = keys(*EVERY), definitions._version
    changed = {}
    for package in PACKAGES:
        with monkeypatch.context() as patch:
            patch.setattr(definitions, "_version", lambda name, p=package: "new" if name == p else plain(name))
            changed[package] = {name for name, key in keys(*EVERY).items() if key != first[name]}

    trees = {"lightgbm", "random_forest", "chooses"}  # of numba are the sums by which a selection may choose
    networks = {"lstm", "transformer", "tokens", "l2gmom"}
    assert changed == {
        "optuna": {"search"}, "synapse": trees, "torch": networks, "numpy": set(first),
        "numba": {"chooses"}, "delta": set(), "numerai_tools": set(),
    }  # fmt: skip


def test_settings_count_and_where_they_came_from_does_not(keys: Callable[..., dict[str, str]]) -> None:
    first = keys(*EVERY)
    assert keys(*EVERY) == first  # nothing in it is of one process
    assert len(set(first.values())) == len(first)
    trees = "kind: lightgbm, trees: 7, learning_rate: 0.5"
    found = keys(f"presets.mine={{{trees}}}", "models.one.preset=mine", f"models.other={{{trees}}}")
    assert found["one"] == found["other"]
    for setting in ("models.linear.penalty=7", "run.seed=8", "models.linear.seeds=2", "sampling.rows=0.5"):
        assert keys(*EVERY, setting)["linear"] != first["linear"], setting


def test_a_search_is_the_same_under_another_name_and_knows_what_its_trials_can_be(
    keys: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    space = "search.space={selection.by: [all, exposure]}"
    one = keys("models.one={kind: linear, selection: {keep: 2}}", "search.model=one", space)
    other = keys("models.two={kind: linear, selection: {keep: 2}}", "search.model=two", space)
    assert one["search"] == other["search"]

    plain = definitions._version  # LightGBM's is of the choice of features by stability, which a trial may make
    monkeypatch.setattr(definitions, "_version", lambda name: "new" if name == "synapse" else plain(name))
    again = keys("models.one={kind: linear, selection: {keep: 2}}", "search.model=one", space)
    assert again["one"] == one["one"]
    assert again["search"] != one["search"]
