"""Saved models in a process that has no Spark."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

PROGRAM = """
import json, sys

for name in ("pyspark", "synapse", "py4j"):
    sys.modules[name] = None  # an import of it fails
import pandas as pd

from eraflow import models

places, rows, out = json.loads(sys.argv[1]), pd.read_parquet(sys.argv[2]), sys.argv[3]
rows = rows if rows.index.name == "id" else rows.set_index("id")
pd.DataFrame({name: models.load(place).portable().predict(rows) for name, place in places.items()}).to_parquet(out)
"""


def predicted_without_spark(models: Mapping[str, Path], rows: Path, folder: Path) -> pd.DataFrame:
    """Predictions of the rows in a parquet file, a column for each of the saved models."""
    places, out = json.dumps({name: str(place) for name, place in models.items()}), folder / "predicted.parquet"
    subprocess.run([sys.executable, "-c", PROGRAM, places, str(rows), str(out)], check=True, timeout=120)
    return pd.read_parquet(out)
