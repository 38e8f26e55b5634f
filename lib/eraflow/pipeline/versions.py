"""Which software a run was made by."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

import eraflow
from eraflow.session import slots

PACKAGE = Path(eraflow.__file__).parent
PACKAGES = (
    "pyspark",
    "synapseml",
    "delta-spark",
    "pandas",
    "pyarrow",
    "numpy",
    "scipy",
    "numerai-tools",
    "torch",
    "optuna",
)


def software(spark: SparkSession) -> dict[str, Any]:
    """Versions that the content of a run depends on."""
    found = {"eraflow": eraflow.__version__, "python": platform.python_version(), "spark": spark.version}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a Databricks runtime brings some of them under other names
            continue
    java: Any = spark.sparkContext._jvm
    found["java"] = java.java.lang.System.getProperty("java.version")
    found["jars"] = hashlib.sha256((PACKAGE / "jars.sha256").read_bytes()).hexdigest()[:16]
    return {**found, "slots": slots(spark)}


def git_revision() -> str | None:
    """The revision of the checkout that eraflow runs from, with `+` if it was changed; None outside a checkout."""
    here = PACKAGE.parents[1]
    if not (here / ".git").exists():
        return None
    try:
        revision = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
        changed = subprocess.run(["git", "status", "--porcelain"], cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return revision.stdout.strip() + ("+" if changed.stdout.strip() else "")
