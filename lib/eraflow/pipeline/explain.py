"""What the job `explain` does: what a finished run's models live on, as a page, tables and, on demand, parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
from pyspark.sql import SparkSession

from eraflow.config import Config
from eraflow.locks import locked
from eraflow.pipeline import classic, signals
from eraflow.pipeline.explaining import Asked, Explaining, wanted
from eraflow.pipeline.finished import manifest_of
from eraflow.pipeline.folder import RunFolder, uri
from eraflow.pipeline.repeated import tables_read
from eraflow.progress import Progress
from eraflow.reporting import Document, Page
from eraflow.reporting.explained import explained_sections
from eraflow.reporting.explained_frames import Explained
from eraflow.session import local_path
from eraflow.tables import Store, refuse_taken
from eraflow.validation import Fold
from eraflow.whole_files import write_bytes, write_csv

TITLE = "eraflow: what models live on"
FOLDER, NAME = "explain", "explain"


def explain(
    spark: SparkSession,
    config: Config,
    progress: Progress,
    run: str | None = None,
    models: Sequence[str] | None = None,
    rows: Sequence[str] | None = None,
    features: Sequence[str] | None = None,
    export: str | None = None,
) -> tuple[str, ...]:
    """Explains models of the finished run, and writes `<run>/explain/`; returns lines for the user.

    `config` is the run's (`config_of_run`). InputError: a model that the run does not have or whose rows cannot be
    explained; a version of a table that the run had read is gone; `export` is there already.
    """
    base = local_path(config.run.dir, "run.dir")
    name = run or config.run.name
    manifest, folder = manifest_of(base, name), RunFolder(base / name)
    names = wanted(config, models)
    frames = None if export is None else local_path(export, "--export").absolute()
    if frames is not None:
        refuse_taken(spark, uri(frames))
    store = Store(spark, config.tables.root, config.tables.wait)
    tables = tables_read(folder.path, manifest, store)
    with locked(folder.path, "run.dir"):
        data = (classic if config.is_classic else signals).dataset(store, config, progress, tables)
        folds = [fold_of(entry) for entry in manifest["folds"]]
        with data.training.kept():
            asked = Asked(tuple(rows or ()), tuple(features or ()))
            explaining = Explaining(config, data, folder, folds, progress, asked)
            explaining.refuse_unknown()
            results = explaining.explained(names)
        out = folder.path / FOLDER
        write(out, name, results)
        if frames is not None:
            _export(frames, results)
    lines = [line for one in results for line in _lines(one)]
    return (*lines, f"explained: {out / NAME}.html")


def write(out: Path, run: str, results: Sequence[Explained]) -> None:
    """Writes the page with its pictures, and why each live row is predicted so."""
    document = Document(NAME, TITLE, run, (), explained_sections(results))
    for name, data in Page(document).files():
        write_bytes(out / name, data)
    for table in ("importance", "permutation", "live"):
        write_csv(_together(results, table), out / f"{'why' if table == 'live' else table}.csv")


def fold_of(entry: Mapping[str, Any]) -> Fold:
    """A fold as a run's manifest has it."""
    train, validation, purged, embargoed = (tuple(entry[key]) for key in ("train", "validation", "purged", "embargoed"))
    return Fold(int(entry["number"]), train, validation, purged, embargoed)


def _export(out: Path, results: Sequence[Explained]) -> None:
    """Writes every frame of the explanation as parquet, all models in one file each."""
    out.mkdir(parents=True)
    for field in fields(Explained):
        if isinstance(getattr(results[0], field.name), pd.DataFrame):
            _together(results, field.name).to_parquet(out / f"{field.name}.parquet", index=False)


def _together(results: Sequence[Explained], field: str) -> pd.DataFrame:
    """A frame of all models, with the model's name."""
    frames = [table.drop(columns="model", errors="ignore").assign(model=one.model)
              for one in results if len(table := getattr(one, field))]  # fmt: skip
    if not frames:
        return pd.DataFrame(columns=["model"])
    every: pd.DataFrame = pd.concat(frames, ignore_index=True)
    return every.reindex(columns=["model", *(name for name in every.columns if name != "model")])


def _lines(one: Explained) -> list[str]:
    top = one.importance.head(5)
    largest = ", ".join(f"{name} {share:.1%}" for name, share in top[["feature", "share"]].itertuples(index=False))
    return [*one.prose, f"{one.model}: most of its mean |SHAP| is of {largest}"]
