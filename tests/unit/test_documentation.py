"""README and docs say what is so: features, settings, figures, rooms, and commands that the jobs take."""

import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.documented import OUTSIDE, PAGES, SMALL, SOAK, Command, commands, tier

from eraflow import cli
from eraflow.config import Config, load
from eraflow.errors import InputError
from eraflow.features import sets

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
JOBS = [command for command in commands() if command.job]
NUMBER = re.compile(r"\d[\d,.]*\d|\d")


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def test_the_readme_can_be_read_in_ten_minutes() -> None:
    assert len(README.encode()) <= 10_000


def test_the_page_of_features_lists_them_as_the_objects_describe_them() -> None:
    described = sets.documentation([*sets.SETS["main"], *sets.EXPOSURES])

    assert described in text_of("docs/feature-sets.md")


def test_the_list_of_all_features_is_the_one_of_the_objects() -> None:
    assert text_of("docs/features.md") == sets.reference()


def test_the_columns_of_a_set_stand_in_the_order_of_its_families() -> None:
    for chosen in sets.SETS.values():
        by_family = [name for names in sets.families(chosen).values() for name in names]
        assert by_family == list(sets.columns(chosen))
        assert len(by_family) == sum(len(feature.outputs()) for feature in chosen)


@pytest.mark.parametrize(("page", "section"), [("README.md", "## Results"), ("docs/performance.md", "# Performance")])
def test_every_figure_of_a_table_stands_in_the_results(page: str, section: str) -> None:
    measured = set(NUMBER.findall(text_of("benchmarks/RESULTS.md")))
    text = text_of(page)
    part = text[text.index(section) :]
    if section.startswith("##"):
        part = part.partition("\n## ")[0]
    figures = {figure for line in part.splitlines() if line.startswith("|") for figure in NUMBER.findall(line)}

    assert len(figures) > 20
    assert figures - measured == set()


def test_the_page_of_rooms_is_what_imports_are_held_to() -> None:
    settings = tomllib.loads(text_of("pyproject.toml"))
    (layers,) = (each["layers"] for each in settings["tool"]["importlinter"]["contracts"] if each["type"] == "layers")
    shown = re.findall(r"^\| \d+ \| (.*) \|$", text_of("docs/architecture.md"), re.MULTILINE)

    assert [re.findall(r"`(\w+)`", row) for row in shown] == [re.split(r"\s*\|\s*", layer) for layer in layers]


def test_every_command_has_its_place_in_the_tests() -> None:
    tiers = [tier(command) for command in commands()]

    assert len(tiers) > 40
    assert min(tiers.count(SMALL), tiers.count(SOAK), tiers.count(OUTSIDE)) >= 8
    with pytest.raises(LookupError, match="no tier"):
        tier(Command("docs/new.md", ("make", "coffee")))


@pytest.mark.parametrize("command", JOBS, ids=[f"{each.page}: {each.text}" for each in JOBS])
def test_a_documented_command_is_one_that_its_job_takes(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options and settings are there; what is run in which tier says tests/documented.py."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yml").write_text(a_configuration_of_the_rounds(), encoding="utf-8")
    file = ROOT / "jobs" / f"{command.job}.py"
    options = runpy.run_path(str(file)).get("OPTIONS", ())

    given = read_by_the_job(command, options)
    if "tres=" in command.text:
        with pytest.raises(InputError, match=r"did you mean kinds\.lightgbm\.trees\?"):
            load(given["overlays"], given["settings"])
    elif given.get("run") is None:
        assert load(given["overlays"], given["settings"]).run.name


def read_by_the_job(command: Command, options: tuple[cli.Option, ...]) -> dict[str, Any]:
    """What a job's own reader makes of a command's arguments; one that it does not take ends the test."""
    found: list[dict[str, Any]] = []

    def read(overlays: list[str], settings: list[str], **values: object) -> Config:
        found.append({"overlays": overlays, "settings": settings, **values})
        raise InputError("read, and that is enough")

    assert cli.job("", lambda *_: (), command.arguments, options, read=read) == cli.BAD_INPUT
    return found[0]


def a_configuration_of_the_rounds() -> str:
    """The file that docs/rounds.md tells a reader to write."""
    block = re.search(r"```yaml\n(.*?)```", text_of("docs/rounds.md"), re.DOTALL)
    assert block
    lines = block[1].splitlines()
    text = "\n".join(line.removeprefix(" " * (len(lines[0]) - len(lines[0].lstrip()))) for line in lines)
    assert yaml.safe_load(text)["submit"]["slots"]
    return text


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    """Of the site itself `test_site.py` looks after all links; pages are read outside of it as well."""
    text = re.sub(r"^( *)```.*?^\1```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        made = target.startswith("reference/")  # with the site
        assert made or "://" in target or (page.parent / target).exists(), target
