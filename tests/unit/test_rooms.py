"""What import-linter and Ruff cannot see: which room holds which kind of code, and names that say nothing."""

import ast
from collections.abc import Iterator
from pathlib import Path

import eraflow

LIBRARY = Path(eraflow.__file__).parent
ROOT = Path(__file__).parents[2]
PRIVATE = {"told", "own", "known", "there"}  # they say nothing of what they hold


def imported(file: Path) -> Iterator[str]:
    """The names that a file imports, with their modules."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_the_pipeline_holds_no_spark_expression() -> None:
    files = sorted((LIBRARY / "pipeline").glob("*.py"))
    wrong = {"pyspark.sql.functions", "pyspark.sql.Column", "pyspark.sql.Window"}

    assert len(files) > 20
    assert {file.name: found for file in files if (found := wrong & set(imported(file)))} == {}
    assert wrong & set(imported(LIBRARY / "sources/quality.py"))  # what is looked for is written so elsewhere


def private_names(code: str) -> Iterator[tuple[int, str]]:
    """The names in which one of `PRIVATE` is a word, with their lines; not what strings and comments say."""
    for node in ast.walk(ast.parse(code)):
        named = (getattr(node, field, None) for field in ("id", "attr", "arg", "name", "asname", "rest"))
        yield from (
            (node.lineno, name) for name in named if isinstance(name, str) and PRIVATE & set(name.lower().split("_"))
        )


def test_no_name_is_private_language() -> None:
    files = [file for folder in ("lib", "jobs") for file in sorted((ROOT / folder).rglob("*.py"))]
    found = [
        f"{file}:{line} {name}" for file in files for line, name in private_names(file.read_text(encoding="utf-8"))
    ]

    assert len(files) > 200
    assert found == []


def test_private_language_is_found_wherever_a_name_can_stand() -> None:
    code = """
from a import known
import b as there
def _told(own, *, known_where=TOLD_LEVEL):
    try:
        return {"own": other.told(own_ids=2)}
    except ValueError as told:
        unknown, ownership = 1, 2  # neither is told here
    match x:
        case {"a": known, **own}: pass
"""
    assert sorted(private_names(code)) == [
        (2, "known"), (3, "there"), (4, "TOLD_LEVEL"), (4, "_told"), (4, "known_where"), (4, "own"), (6, "own_ids"),
        (6, "told"), (7, "told"), (10, "known"), (10, "own"),
    ]  # fmt: skip
