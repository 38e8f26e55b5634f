"""What code counts as that of a table: what its function reaches, and nothing that changes no outcome."""

import gc
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from eraflow import definitions
from eraflow.features import daily
from eraflow.pipeline import feature_tables, price_table, training_table

MODULES = {
    "steps.py": """
        '''Words about the module.'''
        from sample import series
        from sample.series import mean, Rule

        def make(rule: Rule) -> float:
            '''Words about the function.'''
            # a comment
            if not rule:
                raise ValueError("the words of an error")
            return mean(series.values(rule)) + LIMIT

        LIMIT = 3.0

        def other() -> float:
            return series.unused()

        def dynamic(name: str) -> object:
            return getattr(series, name)
    """,
    "series.py": """
        import numpy as np
        from dataclasses import dataclass

        FACTOR = 2.0

        @dataclass
        class Rule:
            length: int

            def weight(self) -> float:
                return self.length * FACTOR

        def values(rule):
            return [rule.weight()]

        def mean(values):
            return np.mean(values)

        def unused():
            return 0.0
    """,
    "__init__.py": "",
    "jars.sha256": "jars",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small package in place of eraflow."""
    for name, text in MODULES.items():
        lines = text.splitlines()
        (tmp_path / name).write_text("\n".join(line[8:] for line in lines))
    monkeypatch.setattr(definitions, "PACKAGE", tmp_path)
    monkeypatch.setattr(definitions, "NAME", "sample")
    yield tmp_path
    forget()


def forget() -> None:
    for held in vars(definitions).values():
        if hasattr(held, "cache_clear"):
            held.cache_clear()


def code(name: str = "make") -> str:
    forget()
    return definitions.code(("sample.steps", name))


def changed(package: Path, file: str, before: str, after: str, name: str = "make") -> bool:
    """Whether the code of `make` is another one after an edit, which is taken back."""
    path, text = package / file, (package / file).read_text()
    assert before in text
    first = code(name)
    path.write_text(text.replace(before, after))
    found = code(name) != first
    path.write_text(text)
    assert code(name) == first
    return found


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("steps.py", "Words about the module", "Other words"),
        ("steps.py", "Words about the function", "Other words"),
        ("steps.py", "# a comment", "# another one"),
        ("steps.py", "the words of an error", "other words"),
        ("steps.py", "rule: Rule) -> float", "rule: Rule | None) -> int"),
        ("steps.py", "return series.unused()", "return 1.0"),
        ("series.py", "return 0.0", "return 1.0"),
        ("series.py", "length: int", "length: float"),
        ("series.py", "def mean(values):", "def mean(values):  # of all"),
    ],
)
def test_what_changes_no_outcome_is_no_other_code(package: Path, file: str, before: str, after: str) -> None:
    assert not changed(package, file, before, after)


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("steps.py", "LIMIT = 3.0", "LIMIT = 4.0"),
        ("steps.py", "if not rule", "if rule"),
        ("steps.py", "from sample.series import mean", "from sample.series import unused as mean"),
        ("series.py", "np.mean(values)", "np.median(values)"),
        ("series.py", "FACTOR = 2.0", "FACTOR = 3.0"),  # by the class of an argument, which only an annotation names
        ("series.py", "[rule.weight()]", "[rule.weight(), 1.0]"),
        ("series.py", "@dataclass\n", "@dataclass(frozen=True)\n"),
    ],
)
def test_what_is_reached_is_other_code(package: Path, file: str, before: str, after: str) -> None:
    assert changed(package, file, before, after)


def test_a_module_is_reached_whole_where_a_name_is_looked_up_while_the_program_runs(package: Path) -> None:
    assert changed(package, "series.py", "return 0.0", "return 1.0", "dynamic")


@pytest.fixture
def threads_that_take_turns_within_a_tree() -> Iterator[None]:
    """As under a package that looks on at the collector (Hypothesis): Python code runs while a tree is made."""
    before, look_on = (sys.getswitchinterval(), gc.get_threshold()), lambda *_: sum(range(50))
    sys.setswitchinterval(1e-6)
    gc.set_threshold(20, 5, 5)
    gc.callbacks.append(look_on)
    yield
    gc.callbacks.remove(look_on)
    gc.set_threshold(*before[1])
    sys.setswitchinterval(before[0])


@pytest.mark.usefixtures("threads_that_take_turns_within_a_tree")
def test_two_runs_of_one_driver_ask_for_code_at_once() -> None:
    def ask(_: int) -> str:
        forget()
        return definitions.written_in("models", "pipeline/run")

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(ask, range(8)))) == 1


def test_another_version_of_a_package_is_other_code(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = code()
    monkeypatch.setattr(definitions, "_version", lambda name: f"{name} of tomorrow")
    assert code() != first


def test_each_table_is_made_by_the_code_of_its_own_kind() -> None:
    features = definitions.reached(definitions.root(feature_tables.features_step))
    prices = definitions.reached(definitions.root(price_table.prices_step))
    training = definitions.reached(definitions.root(training_table.training_step))

    assert definitions.root(daily.daily_features) in features
    assert definitions.root(daily.daily_features) not in prices | training
    assert ("eraflow.sources.faults", "judged") in prices
    assert ("eraflow.sources.faults", "judged") not in features | training
    assert ("eraflow.features.cross_section", "targets") in training
    assert not {module for module, _ in features | prices | training} & {"eraflow.progress", "eraflow.errors"}
