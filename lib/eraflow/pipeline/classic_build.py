"""The tables that stand upstream of a run of Numerai Classic: eras surveyed, features packed, targets beside them.

Files change every week: validation.parquet gets one era more, and targets of some eras become known. Each table says by
hashes of its eras which of them are others than before, and only these are written again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, Row

from eraflow.config import Config, fingerprint
from eraflow.errors import InputError
from eraflow.features.packing import PackedSets
from eraflow.pipeline.classic_targets import Targets, horizon
from eraflow.pipeline.fresh import Freshness, Made
from eraflow.pipeline.versions import code
from eraflow.progress import Progress
from eraflow.session import local_path
from eraflow.sources import classic_files, classic_labels, classic_packing, classic_survey, classic_synthetic
from eraflow.sources.classic_files import LABELLED, SPLITS, Catalogue, Contents, Folder, Split
from eraflow.sources.classic_models import MODEL_FILES, OtherModels
from eraflow.sources.classic_packing import Wanted
from eraflow.sources.classic_residuals import with_residuals
from eraflow.sources.classic_survey import MISSING, EraSurvey
from eraflow.sources.downloads import brought, numerai
from eraflow.tables import Part, Store, Version

FILES = ("features.json", *(f"{split}.parquet" for split in SPLITS))
LABELLED_FILES = ("features.json", *(f"{split}.parquet" for split in LABELLED))
ERAS = "classic_eras"
PACKED_FROM = (
    "packed_from"  # of a manifest: by era a hash of the names, sizes and times of the files it was packed from
)
# What an era's packed features depend on, and what its targets depend on beside.
OF_FEATURES = ("rows", "absent", "levels_hash")
OF_LABELS = (*OF_FEATURES, "targets_hash")


@dataclass(frozen=True)
class Builder:
    """Builds Classic's tables; every method returns a fresh version, and writes what is new if need be.

    `classic_eras` has a row for each era, `classic_training` the packed features, `classic_targets` of each era an
    array for each target, `classic_residuals` the same of residual targets.
    """

    config: Config
    store: Store
    progress: Progress

    def tables(self) -> tuple[Version, ...]:
        """Fresh versions of the first three. InputError, with nothing written, where the files have faults."""
        folder = self.folder()
        eras = self.eras(folder)
        packed = self.training(folder, eras)
        return eras, packed, self.labels(folder, eras, packed)

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
        """`era, split, rows, nulls, absent` (a bit a feature), `unknown` (targets), `levels_hash, targets_hash`."""
        state = [list(file) for file in folder.identity(LABELLED_FILES)]
        place = folder.path  # where models of others are looked for

        def make(there: Version | None = None) -> Made:
            catalogue = classic_files.catalogue(folder)
            files = classic_files.splits(folder, catalogue, LABELLED)
            for target in files[0].targets:
                horizon(target)  # refused before anything is written
            contents = classic_files.contents(self.store.spark, files)
            described = _described(folder, catalogue, contents, files) | {"files": state}
            before = self._unchanged(there, described) if there else []
            read = [split for split in files if split.name not in {row["split"] for row in before}]
            surveyed = classic_survey.survey(self.store.spark, folder, read, catalogue.features, files[0].targets)
            rows = sorted([*map(tuple, before), *(_era_row(part, contents) for part in surveyed)])
            content = fingerprint([described[key] for key in ("features", "sets", "targets", "alias")], _plain(rows))
            schema = (
                "era int, split string, rows long, nulls long, absent binary, unknown array<string>, "
                "levels_hash string, targets_hash string"
            )
            frame = self.store.spark.createDataFrame(rows, schema).coalesce(1)
            return Made(frame, described, None, content)

        return self._fresh.version(ERAS, None, [place, state], (), make, make)

    def sets(self, eras: Version) -> PackedSets:
        """The feature sets of the files, and the blocks that packed rows hold them in."""
        catalogue = _catalogue(eras)
        columns = classic_packing.blocks(catalogue, self.config.classic.read_fast)
        return PackedSets(catalogue.features, catalogue.sets, columns)

    def training(self, folder: Folder, eras: Version) -> Version:
        """`id, era, row, era_block` and the blocks of levels; an era is packed again if its features have changed."""
        catalogue, columns = _catalogue(eras), self.sets(eras).blocks
        block, rows = self.config.tables.era_block, self._rows(eras)
        # Numbers of rows follow the order of the files that an era is packed from, which hashes do not tell.
        files_now = fingerprint([list(file) for file in folder.identity(LABELLED_FILES)])
        described = {"blocks": columns, "dtype": "int8", "missing": MISSING}

        def frame(wanted: Mapping[int, Row]) -> DataFrame:
            files = classic_files.splits(folder, catalogue, LABELLED)
            absent = {era: bytes(row["absent"]) for era, row in wanted.items()}
            names = catalogue.features
            return classic_packing.packed(self.store.spark, folder, files, names, columns, Wanted(absent, block))

        def make() -> Made:
            return Made(frame(rows), {**described, PACKED_FROM: {str(era): files_now for era in rows}})

        def make_later(there: Version) -> Made | None:
            changed = self._changed(there, rows, OF_FEATURES)
            if changed is None:
                return None
            new = {era: rows[era] for era in changed if era in rows}
            packed_from = {str(era): there.manifest[PACKED_FROM].get(str(era)) for era in rows}
            manifest = {**described, PACKED_FROM: packed_from | {str(era): files_now for era in new}}
            return Made(frame(new), manifest, _part(changed, block))

        recipe, needs = [catalogue.features, columns, block], _needs(rows, OF_FEATURES)
        return self._fresh.version(
            "classic_training", recipe, None, (eras,), make, make_later, ("era_block",), needs=needs
        )

    def labels(self, folder: Folder, eras: Version, packed: Version) -> Version:
        """`era, era_block` and an array of each target, in the order of the packed rows; only what has changed."""
        block, rows, targets = self.config.tables.era_block, self._rows(eras), list(eras.manifest["targets"])

        def frame(wanted: Sequence[int]) -> DataFrame:
            files = classic_files.splits(folder, _catalogue(eras), LABELLED)
            numbered = self.store.read(packed).where(classic_labels.of_eras(wanted, block))
            found = classic_labels.of_files(self.store.spark, files, numbered, targets, wanted)
            return classic_labels.by_era(found, targets, block)

        packed_from = packed.manifest[PACKED_FROM]
        manifest = {"targets": {name: horizon(name) for name in targets}, PACKED_FROM: packed_from}

        def make_later(there: Version) -> Made | None:
            changed = self._changed(there, rows, OF_LABELS)
            if changed is None:
                return None
            before = there.manifest[PACKED_FROM]
            moved = {int(era) for era, files in packed_from.items() if before.get(era) != files}
            changed = sorted(moved.union(changed))
            part = _part(changed, block)
            return Made(frame([era for era in changed if era in rows]), manifest, part, content)

        recipe, needs = [targets, block], _needs(rows, OF_LABELS)
        content = fingerprint(recipe, needs)
        return self._fresh.version(
            "classic_targets", recipe, None, (eras, packed), lambda: Made(frame(list(rows)), manifest, None, content),
            make_later, ("era_block",), needs=[packed_from, needs],
        )  # fmt: skip

    def residuals(
        self, packed: Version, labels: Version, targets: Targets, others: OtherModels, folder: Folder
    ) -> Version:
        """`era, era_block` and an array of each residual target, in the order of the packed rows."""

        def make() -> Made:
            if twice := next((row for part in others.parts if (row := _repeated(part))), None):
                raise InputError(
                    f"{folder.path}: predictions of id {twice!r} are there twice; download the files again."
                )
            rows = self.store.read(packed).select("id", "era", "row")
            labelled = classic_labels.with_labels(rows, self.store.read(labels), targets.columns)
            found = with_residuals(labelled, others.parts, targets.residuals)
            return Made(classic_labels.by_era(found, list(targets.residuals), self.config.tables.era_block), {})

        named = {name: vars(residual) for name, residual in targets.residuals.items()}
        recipe = [targets.columns, named, packed.manifest[PACKED_FROM]]
        state = folder.identity(MODEL_FILES) if self.config.source == "classic" else self._invented
        return self._fresh.version(
            "classic_residuals", recipe, state, (packed, labels), make, partition_by=("era_block",)
        )

    def live(self, folder: Folder, eras: Version, features: Sequence[str]) -> Live:
        """The round's live rows with these features. InputError: there is no live.parquet, or it has faults."""
        if not folder.has("live.parquet"):
            raise InputError(f"{folder.path} holds no live.parquet, which predictions are made for; add it.")
        era, spark = int(eras.manifest["live_era"]), self.store.spark
        (split,) = classic_files.splits(folder, _catalogue(eras), ("live",))
        if split.dtype != eras.manifest["dtype"]:
            raise InputError(
                f"{split.path} has features of type {split.dtype}, the other files of {eras.manifest['dtype']}; take "
                "all from one version of the data."
            )
        classic_files.contents(spark, [split])
        found = classic_survey.survey(spark, folder, [split], features, ())
        if not found:
            raise InputError(f"{split.path} has no rows; download it again.")
        wanted = Wanted({era: found[0].absent}, self.config.tables.era_block, era)
        columns = {"features": tuple(range(len(features)))}
        rows = classic_packing.packed(spark, folder, [split], features, columns, wanted)
        # Read once: the file may be another one before the last model has predicted.
        return Live(era, found[0], rows.select("id", "era", "features").localCheckpoint())

    def _unchanged(self, there: Version, described: Mapping[str, Any]) -> list[Row]:
        """The rows of `there` whose files are as they were, where features and targets are so too."""
        if any(there.manifest[key] != described[key] for key in ("features", "targets")):
            return []
        then, now = ({tuple(file) for file in files} for files in (there.manifest["files"], described["files"]))
        same = {name.removesuffix(".parquet") for name, *_ in then & now}
        return [row for row in self._rows(there).values() if row["split"] in same]

    def _rows(self, eras: Version) -> dict[int, Row]:
        """One row an era, with a bit for each feature."""
        return {row["era"]: row for row in self.store.read(eras).collect()}

    def _changed(self, there: Version, now: Mapping[int, Row], keys: Sequence[str]) -> list[int] | None:
        """The eras that are others than those that `there` was made from; None where that is not known any more."""
        made_from = self.store.version(ERAS, there.inputs[ERAS])
        if made_from is None:
            return None
        before = self._rows(made_from)
        return sorted(
            era for era in before.keys() | now.keys() if _of(before.get(era), keys) != _of(now.get(era), keys)
        )

    @property
    def _invented(self) -> object:
        """What an invented data set depends on."""
        settings = self.config.classic_synthetic
        return [settings.model_dump(), classic_synthetic.metadata(settings), code("sources/classic_synthetic")]

    @property
    def _fresh(self) -> Freshness:
        return Freshness(self.store, self.progress)


@dataclass(frozen=True)
class Live:
    """The live rows of a round, `id, era, features`."""

    era: int  # the number after the last era of the other files
    survey: EraSurvey
    rows: DataFrame


def _catalogue(eras: Version) -> Catalogue:
    return Catalogue(tuple(eras.manifest["features"]), eras.manifest["sets"])


def _part(changed: Sequence[int], block: int) -> Part:
    return Part(date.min, classic_labels.of_eras(changed, block))


def _needs(rows: Mapping[int, Row], keys: Sequence[str]) -> list[object]:
    return [[era, _of(row, keys)] for era, row in sorted(rows.items())]


def _of(row: Row | None, keys: Sequence[str]) -> list[object] | None:
    """Some columns of an era's row, as JSON takes them."""
    if row is None:
        return None
    return [bytes(row[key]).hex() if key == "absent" else row[key] for key in keys]


def _plain(rows: Sequence[tuple[Any, ...]]) -> list[object]:
    return [[bytes(x).hex() if isinstance(x, bytes | bytearray) else x for x in row] for row in rows]


def _era_row(part: EraSurvey, contents: Contents) -> tuple[Any, ...]:
    era = int(part.era)
    unknown = [name for name, eras in contents.unknown.items() if era in eras]
    hashes = (part.levels_hash.hex(), part.targets_hash.hex())
    return era, part.split, part.rows, part.nulls, bytearray(part.absent), unknown, *hashes


def _described(folder: Folder, catalogue: Catalogue, contents: Contents, files: Sequence[Split]) -> dict[str, Any]:
    return {
        "source": folder.path,
        "features": list(catalogue.features),
        "sets": {name: list(places) for name, places in catalogue.sets.items()},
        "rows": dict(contents.rows),
        "dtype": files[0].dtype,
        "targets": list(files[0].targets),
        "alias": contents.alias,
        "gaps": [list(gap) for gap in contents.gaps],
        "live_era": max((era for eras in contents.eras.values() for era in eras), default=0) + 1,
    }


def _repeated(predictions: DataFrame) -> str | None:
    """An id that occurs twice."""
    found = predictions.groupBy("id").count().where("count > 1").head()
    return str(found["id"]) if found else None
