"""The Databricks bundle without Databricks: resources are checked by their own package, the top by a schema here."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from databricks.bundles.jobs import Job
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eraflow.command import job_files
from eraflow.config import load
from eraflow.spark_jars import COORDINATES, EXCLUDED

ROOT = Path(__file__).parents[2]
RESOURCES = sorted((ROOT / "resources").glob("*.yml"))
REFERENCE = re.compile(r"\$\{([a-z_.]+)\}")
GIVEN = {"bundle.name", "bundle.target", "workspace.file_path"}  # by Databricks


class Part(BaseModel):
    """A part of databricks.yml: knows every key that it takes."""

    model_config = ConfigDict(extra="forbid")


class Bundle(Part):
    name: str
    databricks_cli_version: str | None = None


class Artifact(Part):
    type: Literal["whl"]
    path: str
    build: str


class Variable(Part):
    description: str
    type: Literal["complex"] | None = None
    default: Any


class Workspace(Part):
    root_path: str | None = None
    profile: str | None = None


class Target(Part):
    mode: Literal["development", "production"]
    default: bool = False
    workspace: Workspace = Workspace()
    variables: dict[str, Any] = Field(default_factory=dict)


class Top(Part):
    """What Databricks takes at the top and is used here, of its artifacts, bundle, environments, include, permissions,
    presets, python, resources, run_as, scripts, sync, targets, variables and workspace.
    """

    bundle: Bundle
    include: list[str]
    artifacts: dict[str, Artifact]
    variables: dict[str, Variable]
    targets: dict[str, Target]


def read(file: Path) -> dict[str, Any]:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def jobs() -> dict[str, dict[str, Any]]:
    """Every job of the bundle, by name."""
    found: dict[str, dict[str, Any]] = {}
    for file in RESOURCES:
        resources = read(file)
        assert list(resources) == ["resources"]
        assert list(resources["resources"]) == ["jobs"]
        found |= resources["resources"]["jobs"]
    return found


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value


def resolved(value: str | list[str], target: Target, top: Top) -> Any:
    """The value with the bundle's variables as the target has them."""
    values = {name: variable.default for name, variable in top.variables.items()} | target.variables
    if isinstance(value, list):
        return [resolved(each, target, top) for each in value]
    if (whole := REFERENCE.fullmatch(value)) and isinstance(values.get(whole[1].removeprefix("var.")), list):
        return resolved(values[whole[1].removeprefix("var.")], target, top)
    while found := REFERENCE.search(value):
        key = found[1].removeprefix("var.")
        value = value.replace(found[0], str(values[key]) if key in values else f"<{key}>")
    return value


@pytest.mark.parametrize("name", ["round", "training"])
def test_databricks_own_package_takes_every_job(name: str) -> None:
    found = jobs()
    assert sorted(found) == ["round", "training"]
    assert Job.from_dict(found[name]).as_dict()["name"] == f"eraflow {name}"


def places(value: Any) -> Iterator[dict[str, Any]]:
    """Every mapping whose keys are Databricks', not the user's own."""
    if isinstance(value, dict):
        yield value
        for key, inner in value.items():
            if key not in ("spark_conf", "spark_env_vars", "custom_tags"):
                yield from places(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from places(inner)


@pytest.mark.parametrize("name", ["round", "training"])
def test_an_unknown_field_is_refused_wherever_it_stands(name: str) -> None:
    count = len(list(places(jobs()[name])))
    assert count > 8
    for number in range(count):
        job = jobs()[name]
        list(places(job))[number]["entrypoint"] = "eraflow"
        with pytest.raises((TypeError, ValueError), match="entrypoint"):
            Job.from_dict(job)


def test_the_top_holds_what_the_schema_knows_and_nothing_else() -> None:
    top = read(ROOT / "databricks.yml")
    assert Top.model_validate(top).bundle.name == "eraflow"
    with pytest.raises(ValidationError, match="artefacts"):
        Top.model_validate({**top, "artefacts": {}})
    top["targets"]["dev"]["modus"] = "development"
    with pytest.raises(ValidationError, match="modus"):
        Top.model_validate(top)


def test_what_is_referred_to_is_there() -> None:
    top = read(ROOT / "databricks.yml")
    variables = {f"var.{name}" for name in top["variables"]}
    used = {name for text in texts([top, *map(read, RESOURCES)]) for name in REFERENCE.findall(text)}
    assert used <= variables | GIVEN
    assert variables <= used
    for target in top["targets"].values():
        assert {f"var.{name}" for name in target.get("variables", {})} <= variables
    assert [file for pattern in top["include"] for file in sorted(ROOT.glob(pattern))] == RESOURCES
    assert re.search(r"^dist: ", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_jobs_bring_the_wheel_and_the_jars_that_are_pinned() -> None:
    (lightgbm,) = (coordinates for coordinates in COORDINATES if "synapseml" in coordinates)
    for job in jobs().values():
        (task,) = job["tasks"]
        libraries = {kind: value for library in task["libraries"] for kind, value in library.items() if kind != "pypi"}
        assert libraries["whl"] == "../dist/*.whl"
        assert libraries["maven"] == {"coordinates": lightgbm, "exclusions": list(EXCLUDED)}
        pinned = (ROOT / "pyproject.toml").read_text()
        packages = [library["pypi"]["package"] for library in task["libraries"] if "pypi" in library]
        assert packages
        assert [package for package in packages if f'"{package}"' not in pinned] == []
        assert task["job_cluster_key"] in {cluster["job_cluster_key"] for cluster in job["job_clusters"]}


@pytest.mark.parametrize("target", ["dev", "prod"])
def test_a_jobs_command_is_one_of_ours_and_its_settings_fit(target: str) -> None:
    top = Top.model_validate(read(ROOT / "databricks.yml"))
    chosen = top.targets[target]
    for name, job in jobs().items():
        first, *words = resolved(job["tasks"][0]["python_wheel_task"]["parameters"], chosen, top)
        assert first in job_files()
        files = [word.removeprefix("--config=") for word in words if word.startswith("--config=")]
        words = [word.replace("{{job.start_time.iso_date}}", "2026-11-29") for word in words]  # Databricks does it
        settings = [word.removeprefix("--set=") for word in words if word.startswith("--set=")]
        config = load([file for file in files if not file.startswith("<")], settings)
        schema = "eraflow_dev" if target == "dev" else "eraflow"
        assert config.run.dir == f"/Volumes/main/{schema}/files/runs"
        if name == "training":
            assert config.tables.root == f"main.{schema}"
            assert config.run.name == "classic-2026-11-29"
        assert ("--send" in words) == (name == "round" and target == "prod")


def test_spark_is_told_on_databricks_what_any_machine_is_told() -> None:
    lines = (ROOT / "conf/spark-local.conf").read_text().splitlines()
    local = dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))
    for job in jobs().values():
        (cluster,) = (one["new_cluster"] for one in job["job_clusters"])
        shared = {key: value for key, value in cluster["spark_conf"].items() if key in local}
        assert len(shared) >= 6
        assert shared == {key: local[key] for key in shared} | (
            {"spark.master": "local[*]"} if "spark.master" in shared else {}
        )
