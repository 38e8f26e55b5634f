"""Numerai Classic as a run sees it: a round's files, checked, surveyed and packed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from eraflow import submission
from eraflow.config import Config, fingerprint
from eraflow.errors import InputError
from eraflow.models.base import Training
from eraflow.pipeline.classic_targets import Targets, horizon, residual_checks, targets
from eraflow.pipeline.dataset import Dataset
from eraflow.pipeline.fresh import Freshness, Made
from eraflow.pipeline.reading import feature_set, sets_within
from eraflow.pipeline.scores import classic_references
from eraflow.pipeline.versions import code
from eraflow.progress import Progress
from eraflow.session import local_path
from eraflow.sources import classic_files, classic_packing, classic_synthetic
from eraflow.sources.classic_files import ALIAS, LIVE_ERA, SPLITS, Contents, Folder, Split
from eraflow.sources.classic_models import MODEL_FILES, OtherModels, other_models
from eraflow.sources.classic_packing import MISSING, EraSurvey, absent_features
from eraflow.sources.classic_residuals import with_residuals
from eraflow.sources.downloads import brought, numerai
from eraflow.tables import Store, Version
from eraflow.validation import CLASSIC_MARGIN, reach_in_eras, spans_from_numbers

FILES = ("features.json", *(f"{split}.parquet" for split in SPLITS))
SYNTHETIC_NOTE = (
    "The data set is invented, in the shape of Numerai Classic's. A stock's features tell {signal} deviations of its "
    "weekly return; the real ones tell far less."
)


@dataclass(frozen=True)
class Builder:
    """Builds Classic's tables: `classic_eras`, a row for each era, and `classic_training`, the packed rows."""

    config: Config
    store: Store
    progress: Progress

    def tables(self) -> tuple[Version, Version]:
        """Fresh versions of both. Raises InputError, with nothing written, where the files have faults."""
        folder = self.folder()
        eras = self.eras(folder)
        return eras, self.training(folder, eras)

    def folder(self) -> Folder:
        """The folder of the round's files; an invented data set is written first where that is the source."""
        path = self.config.classic.path
        if path is None:
            raise InputError("classic.path is not set: name the folder of a round's files with --set classic.path=DIR.")
        if self.config.source == "classic":
            if self.config.classic.dataset:
                place = local_path(path, "classic.path")
                brought(numerai(), self.config.classic.dataset, FILES, place, self.progress, MODEL_FILES)
            return Folder(path)
        made = Path(path) / fingerprint(self._invented)
        if not (made / "features.json").exists():
            self.progress.stage("inventing a data set")
            classic_synthetic.write(self.config.classic_synthetic, made)
        return Folder(str(made))

    def eras(self, folder: Folder) -> Version:
        """`era, split, rows, nulls`, `absent binary` (a bit a feature) and `unknown array<string>` (targets)."""

        def make() -> Made:
            known = classic_files.catalogue(folder)
            found = classic_files.splits(folder, known)
            told = classic_files.contents(self.store.spark, found)
            surveyed = classic_packing.survey(self.store.spark, folder, found, known)
            schema = "era int, split string, rows long, nulls long, absent binary, unknown array<string>"
            rows = [_era_row(part, told, found) for part in surveyed]
            frame = self.store.spark.createDataFrame(rows, schema)
            return Made(frame.coalesce(1), _described(folder, told, found))

        state = folder.identity(FILES) if self.config.source == "classic" else self._invented
        return self._fresh.version("classic_eras", None, state, (), make)

    def training(self, folder: Folder, eras: Version) -> Version:
        """`id, era, era_block, data_type`, the nested blocks of levels, and the targets."""
        block = self.config.tables.era_block

        def make() -> Made:
            known = classic_files.catalogue(folder)
            found = classic_files.splits(folder, known)
            rows = self.store.read(eras).collect()  # one an era, with a bit for each feature
            absent = {row["era"]: bytes(row["absent"]) for row in rows}
            frame = classic_packing.packed(
                self.store.spark, folder, found, known, absent, eras.manifest["live_era"], block
            )
            places = {name: place for place, name in enumerate(known.features)}
            manifest = {
                "blocks": classic_packing.blocks(known),
                "sets": {name: sorted(places[member] for member in members) for name, members in known.sets.items()},
                "features_hash": fingerprint(known.features),
                "dtype": "int8",
                "missing": MISSING,
                "targets": {name: horizon(name) for name in eras.manifest["targets"]},
            }
            return Made(frame, manifest)

        return self._fresh.version("classic_training", block, None, (eras,), make, partition_by=("era_block",))

    def residuals(self, packed: Version, found: Targets, others: OtherModels, folder: Folder) -> Version:
        """`id, era, era_block`, the run's `features` as one array, its targets and its residual targets.

        A copy of the packed rows: joined as they are read, they would be exchanged anew for every fit.
        """

        def make() -> Made:
            if twice := next((row for part in others.parts if (row := _repeated(part))), None):
                raise InputError(
                    f"{folder.path}: predictions of id {twice!r} are there twice; download the files again."
                )
            _, features = feature_set(packed.manifest, self.config.classic.features)
            rows = self.store.read(packed).select("id", "era", "era_block", features.alias("features"), *found.columns)
            frame = with_residuals(rows, others.parts, found.residuals)
            return Made(frame.sortWithinPartitions("era_block", "era", "id"), {})

        recipe = [
            self.config.classic.features,
            found.columns,
            {name: vars(own) for name, own in found.residuals.items()},
        ]
        state = folder.identity(MODEL_FILES) if self.config.source == "classic" else self._invented
        return self._fresh.version("classic_residuals", recipe, state, (packed,), make, partition_by=("era_block",))

    @property
    def _invented(self) -> object:
        """What an invented data set depends on."""
        return [self.config.classic_synthetic.model_dump(), code("sources/classic_synthetic")]

    @property
    def _fresh(self) -> Freshness:
        return Freshness(self.store, self.progress)


def _repeated(predictions: DataFrame) -> str | None:
    """An id that occurs twice."""
    found = predictions.groupBy("id").count().where("count > 1").head()
    return str(found["id"]) if found else None


def _era_row(part: EraSurvey, told: Contents, found: Sequence[Split]) -> tuple[Any, ...]:
    era = _live_era(told) if part.era == LIVE_ERA else int(part.era)
    targets = next(split.targets for split in found if split.name == part.split)
    unknown = [name for name in targets if part.era == LIVE_ERA or era in told.unknown[name]]
    return era, part.split, part.rows, part.nulls, bytearray(part.absent), unknown


def _live_era(told: Contents) -> int:
    """The number that live rows get: the next one after all that are known."""
    return max((era for eras in told.eras.values() for era in eras), default=0) + 1


def _described(folder: Folder, told: Contents, found: Sequence[Split]) -> dict[str, object]:
    return {
        "source": folder.path,
        "rows": dict(told.rows),
        "targets": list(next((split.targets for split in found if split.name != "live"), ())),
        "alias": told.alias,
        "gaps": [list(gap) for gap in told.gaps],
        "live_era": _live_era(told),
    }


def dataset(store: Store, config: Config, progress: Progress) -> Dataset:
    """Brings the tables up to date."""
    builder = Builder(config, store, progress)
    folder = builder.folder()
    eras = builder.eras(folder)
    found = targets(config, eras.manifest)
    others = other_models(store.spark, folder, None) if found.residuals else OtherModels((), None, ())
    found.refuse_unknown_models(others, folder)
    packed = builder.training(folder, eras)
    residuals = (builder.residuals(packed, found, others, folder),) if found.residuals else ()
    training = _training(config, store, packed, residuals, found)
    checks = residual_checks(training.table, found.residuals)
    target = found.main
    # One row an era.
    rows = store.read(eras).select("era", "split", "rows", "nulls", "absent", "unknown").orderBy("era").collect()
    labelled = [row["era"] for row in rows if row["split"] != "live" and target not in row["unknown"]]
    if not labelled:
        raise InputError(f"{eras.manifest['source']}: no era knows {target}; add train.parquet or validation.parquet.")
    live = [row["era"] for row in rows if row["split"] == "live"]
    if not live:
        raise InputError(f"{eras.manifest['source']} holds no live.parquet, which predictions are made for; add it.")
    called = f"{target} ({ALIAS} in the files)" if eras.manifest["alias"] == target else target
    return Dataset(
        tables=(eras, packed, *residuals),
        training=training,
        manifest=packed.manifest,
        # A purge that is asked for is taken if labels cannot meet; without one, as many eras as Numerai's own models.
        # Folds are common to all models, so the longest label counts.
        spans=spans_from_numbers(labelled, found.longest, CLASSIC_MARGIN if config.validation.purge is None else 0),
        unlabelled=(),
        overlap=reach_in_eras(horizon(target)),
        live_era=live[0],
        era_dates={},
        submission=submission.classic,
        check_live=lambda live: submission.check_rows(live.count()),
        references=classic_references(config, store, folder, packed),
        reference_files=folder.identity(MODEL_FILES) if config.source == "classic" else (),
        asset=None,
        strategy=None,
        quality=lambda: _quality(rows, eras.manifest, len(packed.manifest["sets"]["all"]), checks),
        notes=_notes(config, eras.manifest),
        facts={
            "source": str(eras.manifest["source"]),
            "eras": f"{len(labelled)} weekly eras with a target, {labelled[0]} to {labelled[-1]}; live era {live[0]}",
            "rows": ", ".join(f"{split} {count:,}" for split, count in eras.manifest["rows"].items()),
            "features": f"{len(training.feature_names)} ({config.classic.features})",
            "target": called,
            "labels overlap": f"{reach_in_eras(horizon(target))} eras",
        },
    )


def _training(config: Config, store: Store, packed: Version, residuals: Sequence[Version], found: Targets) -> Training:
    """The packed rows as models see them, or their copy with residual targets."""
    names, features = feature_set(packed.manifest, config.classic.features)
    columns = [F.col(name) for name in (*found.columns, *found.residuals)]
    if any(ALIAS in model.targets for model in config.models.values()):
        columns.append(F.col(found.of_files[ALIAS]).alias(ALIAS))
    rows = store.read(residuals[0] if residuals else packed)
    table = rows.select("id", "era", F.col("features") if residuals else features.alias("features"), *columns)
    missing, families = int(packed.manifest["missing"]), sets_within(packed.manifest, names)
    return Training(table, names, found.main, missing, families=families, reach=found.reach)


def _quality(
    rows: Sequence[Row], manifest: Mapping[str, Any], features: int, checks: Sequence[tuple[str, int, str]]
) -> pd.DataFrame:
    """`check, count, detail`: what the files hold that is accepted and worth knowing."""
    values = sum(row["rows"] for row in rows) * features
    nulls = sum(row["nulls"] for row in rows)
    lacking = {row["era"]: int(absent_features(row["absent"], features).sum()) for row in rows}
    worst = max(lacking, key=lambda era: lacking[era])
    some = [era for era, count in lacking.items() if count]
    without = [row["era"] for row in rows if row["split"] != "live" and row["unknown"]]
    gaps = manifest["gaps"]
    told = [
        ("null values", nulls, f"of {values:,} feature values; they count as missing"),
        (
            "eras that lack features",
            len(some),
            f"nulls or 2 throughout; most in era {worst}: {lacking[worst]} features" if some else "none",
        ),
        (
            "eras without a target",
            len(without),
            f"not every target is known from era {without[0]} on or in some of them" if without else "none",
        ),
        (
            "gaps in the era numbers",
            len(gaps),
            "; ".join(f"between {before} and {after}" for before, after in gaps[:3]) if gaps else "none",
        ),
        *checks,
    ]
    return pd.DataFrame(told, columns=["check", "count", "detail"])


def _notes(config: Config, manifest: Mapping[str, Any]) -> tuple[str, ...]:
    synthetic = config.source == "classic_synthetic"
    notes = [SYNTHETIC_NOTE.format(signal=config.classic_synthetic.signal)] if synthetic else []
    if manifest["gaps"]:
        notes.append("Era numbers have gaps; purges count era numbers, so that none is shorter for it.")
    return tuple(notes)
