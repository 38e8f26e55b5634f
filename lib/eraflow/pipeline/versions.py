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
    "lightgbm",
    "numerai-tools",
    "torch",
    "optuna",
)


def software(spark: SparkSession | None) -> dict[str, Any]:
    """Versions that the content of a run depends on; nothing of Spark's where it is not used."""
    found: dict[str, Any] = {"eraflow": eraflow.__version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a Databricks runtime brings some of them under other names
            continue
    if spark is None:
        return {**found, "python": platform.python_version()}
    return {**found, **beneath(spark), "jars": hashlib.sha256((PACKAGE / "jars.sha256").read_bytes()).hexdigest()[:16]}


def beneath(spark: SparkSession) -> dict[str, Any]:
    """What whatever is made by Spark depends on beside the code that makes it and the packages that this names."""
    java: Any = spark.sparkContext._jvm
    return {
        "python": platform.python_version(),
        "spark": spark.version,
        "java": java.java.lang.System.getProperty("java.version"),
        "slots": slots(spark),
    }


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
