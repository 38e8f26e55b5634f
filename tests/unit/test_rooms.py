"""What import-linter cannot see: which room holds which kind of code."""

import ast
from collections.abc import Iterator
from pathlib import Path

import eraflow

LIBRARY = Path(eraflow.__file__).parent


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
    assert wrong & set(imported(LIBRARY / "sources/prices.py"))  # what is looked for is written so elsewhere
