"""The tables that stand upstream of a run of Numerai Classic: eras surveyed, features packed, targets beside them.

Files change every week: validation.parquet gets one era more, and targets of some eras become known. Each table says by
hashes of its eras which of them are others than before, and only these are written again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, Row

from eraflow.config import Config, fingerprint
from eraflow.definitions import code, root
from eraflow.errors import InputError
from eraflow.features.packing import PackedSets
from eraflow.pipeline.classic_targets import Targets, horizon
from eraflow.pipeline.site import Site
from eraflow.pipeline.steps import Made, NextStep, Step, Steps, Versions
from eraflow.progress import Progress
from eraflow.session import local_path
from eraflow.sources import (
    classic_files,
    classic_labels,
    classic_live,
    classic_models,
    classic_packing,
    classic_survey,
    classic_synthetic,
)
from eraflow.sources.classic_files import LABELLED, SPLITS, Catalogue, Contents, Folder, Split
from eraflow.sources.classic_live import LiveFile
from eraflow.sources.classic_models import MODEL_FILES, OtherModels
from eraflow.sources.classic_packing import Wanted
from eraflow.sources.classic_residuals import with_residuals
from eraflow.sources.classic_survey import MISSING, EraSurvey
from eraflow.sources.downloads import brought, numerai
from eraflow.tables import Part, Store, Version

FILES = ("features.json", *(f"{split}.parquet" for split in SPLITS))
LABELLED_FILES = ("features.json", *(f"{split}.parquet" for split in LABELLED))
ERAS = "classic_eras"
PACKED_FROM = "packed_from"  # of a manifest: by era a hash of names, sizes and times of the files it was packed from
ERA_COLUMNS = (
    "era int, split string, rows long, nulls long, absent binary, unknown array<string>, levels_hash string, "
    "targets_hash string"
)
# What an era's packed features depend on, and what its targets depend on beside.
OF_FEATURES = ("rows", "absent", "levels_hash")
OF_LABELS = (*OF_FEATURES, "targets_hash")


def tables(site: Site) -> Versions:
    """Fresh versions of eras, packed rows and targets. InputError, with nothing written, where files have faults."""
    folder = files(site.config, site.progress)
    return packed(site, folder, eras(site, folder))


def eras(site: Site, folder: Folder) -> Versions:
    """A fresh version of the eras alone."""
    return Steps(site.store, site.progress).taken([lambda made: eras_step(site, folder)])


def packed(site: Site, folder: Folder, made: Versions) -> Versions:
    """Fresh versions of packed rows and targets, beside those of the eras."""
    steps: tuple[NextStep, ...] = (
        lambda made: packed_step(site, folder, made[ERAS]),
        lambda made: targets_step(site, folder, made[ERAS], made["classic_training"]),
    )
    return Steps(site.store, site.progress).taken(steps, made)


def files(
    config: Config, progress: Progress, names: Sequence[str] = FILES, others: Sequence[str] = MODEL_FILES
) -> Folder:
    """The folder of the round's files; an invented data set is written first where that is the source.

    Where the config names a data set of Numerai's, files of these `names` are brought, and `others` that it has.
    """
    path = config.classic.path
    if path is None:
        raise InputError("classic.path is not set: name the folder of a round's files with --set classic.path=DIR.")
    if config.source == "classic":
        if config.classic.dataset:
            place = local_path(path, "classic.path")
            brought(numerai(), config.classic.dataset, names, place, progress, others)
        return Folder(path)
    made = Path(path) / fingerprint(_invented(config))
    if not (made / "features.json").exists():
        progress.stage("inventing a data set")
        classic_synthetic.write(config.classic_synthetic, made)
    return Folder(str(made))


def eras_step(site: Site, folder: Folder) -> Step:
    """`era, split, rows, nulls, absent` (a bit a feature), `unknown` (targets), `levels_hash, targets_hash`."""
    spark = site.store.spark
    state = [list(file) for file in folder.identity(LABELLED_FILES)]
    place = folder.path  # where models of others are looked for

    def found(current: Version | None) -> Made:
        catalogue = classic_files.catalogue(folder)
        splits = classic_files.splits(folder, catalogue, LABELLED)
        for target in splits[0].targets:
            horizon(target)  # refused before anything is written
        contents = classic_files.contents(spark, splits)
        described = _described(folder, catalogue, contents, splits) | {"files": state}
        before = _unchanged(site.store, current, described) if current else []
        read = [split for split in splits if split.name not in {row["split"] for row in before}]
        surveyed = classic_survey.survey(spark, folder, read, catalogue.features, splits[0].targets)
        rows = sorted([*map(tuple, before), *(_era_row(part, contents) for part in surveyed)])
        content = fingerprint([described[key] for key in ("features", "sets", "targets", "alias")], _plain(rows))
        return Made(spark.createDataFrame(rows, ERA_COLUMNS).coalesce(1), described, None, content)

    def make() -> Made:
        return found(None)

    return Step(ERAS, None, (), make, found, state=lambda current: [place, state])


def sets(config: Config, eras: Version) -> PackedSets:
    """The feature sets of the files, and the blocks that packed rows hold them in."""
    catalogue = _catalogue(eras)
    columns = classic_packing.blocks(catalogue, config.classic.read_fast)
    return PackedSets(catalogue.features, catalogue.sets, columns)


def packed_step(site: Site, folder: Folder, eras: Version) -> Step:
    """`id, era, row, era_block` and the blocks of levels; an era is packed again if its features have changed."""
    catalogue, columns = _catalogue(eras), sets(site.config, eras).blocks
    block, rows = site.config.tables.era_block, _rows(site.store, eras)
    # Numbers of rows follow the order of the files that an era is packed from, which hashes do not tell.
    files_now = fingerprint([list(file) for file in folder.identity(LABELLED_FILES)])
    described = {"blocks": columns, "dtype": "int8", "missing": MISSING}

    def frame(wanted: Mapping[int, Row]) -> DataFrame:
        splits = classic_files.splits(folder, catalogue, LABELLED)
        absent = {era: bytes(row["absent"]) for era, row in wanted.items()}
        names = catalogue.features
        return classic_packing.packed(site.store.spark, folder, splits, names, columns, Wanted(absent, block))

    def make() -> Made:
        return Made(frame(rows), {**described, PACKED_FROM: {str(era): files_now for era in rows}})

    def make_later(current: Version) -> Made | None:
        changed = _changed(site.store, current, rows, OF_FEATURES)
        if changed is None:
            return None
        new = {era: rows[era] for era in changed if era in rows}
        packed_from = {str(era): current.manifest[PACKED_FROM].get(str(era)) for era in rows}
        manifest = {**described, PACKED_FROM: packed_from | {str(era): files_now for era in new}}
        return Made(frame(new), manifest, _part(changed, block))

    return Step(
        "classic_training", [catalogue.features, columns, block], (eras,), make, make_later, ("era_block",),
        needs=_needs(rows, OF_FEATURES), by_content=(ERAS,),
    )  # fmt: skip


def targets_step(site: Site, folder: Folder, eras: Version, packed: Version) -> Step:
    """`era, era_block` and an array of each target, in the order of the packed rows; only what has changed."""
    store, block = site.store, site.config.tables.era_block
    rows, targets = _rows(store, eras), list(eras.manifest["targets"])

    def frame(wanted: Sequence[int]) -> DataFrame:
        splits = classic_files.splits(folder, _catalogue(eras), LABELLED)
        numbered = classic_labels.within(store.read(packed), wanted, block)
        found = classic_labels.of_files(store.spark, splits, numbered, targets, wanted)
        return classic_labels.by_era(found, targets, block)

    packed_from = packed.manifest[PACKED_FROM]
    manifest = {"targets": {name: horizon(name) for name in targets}, PACKED_FROM: packed_from}
    settings, needs = [targets, block], _needs(rows, OF_LABELS)
    content = fingerprint(settings, needs)

    def make() -> Made:
        return Made(frame(list(rows)), manifest, None, content)

    def make_later(current: Version) -> Made | None:
        changed = _changed(store, current, rows, OF_LABELS)
        if changed is None:
            return None
        before = current.manifest[PACKED_FROM]
        moved = {int(era) for era, files in packed_from.items() if before.get(era) != files}
        changed = sorted(moved.union(changed))
        return Made(frame([era for era in changed if era in rows]), manifest, _part(changed, block), content)

    return Step(
        "classic_targets", settings, (eras, packed), make, make_later, ("era_block",),
        needs=[packed_from, needs], by_content=(ERAS,),
    )  # fmt: skip


def residuals_step(
    site: Site, folder: Folder, packed: Version, labels: Version, targets: Targets, others: OtherModels
) -> Step:
    """`era, era_block` and an array of each residual target, in the order of the packed rows."""
    config, store = site.config, site.store

    def make() -> Made:
        if twice := next((row for part in others.parts if (row := classic_models.repeated(part))), None):
            raise InputError(f"{folder.path}: predictions of id {twice!r} are there twice; download the files again.")
        rows = store.read(packed).select("id", "era", "row")
        labelled = classic_labels.with_labels(rows, store.read(labels), targets.columns)
        found = with_residuals(labelled, others.parts, targets.residuals)
        return Made(classic_labels.by_era(found, list(targets.residuals), config.tables.era_block), {})

    named = {name: vars(residual) for name, residual in targets.residuals.items()}
    settings = [targets.columns, named]
    state = [
        packed.manifest[PACKED_FROM],
        folder.identity(MODEL_FILES) if config.source == "classic" else _invented(config),
    ]
    return Step(
        "classic_residuals", settings, (packed, labels), make, partition_by=("era_block",), state=lambda current: state
    )


def live(folder: Folder, eras: Version, features: Sequence[str]) -> LiveFile:
    """The round's live rows with these features. InputError: there is no live.parquet, or it has faults."""
    split = classic_live.contract(folder, _catalogue(eras))
    classic_live.refuse_dtype(split, eras.manifest["dtype"])
    return classic_live.read(folder, split, features)


def _unchanged(store: Store, current: Version, described: Mapping[str, Any]) -> list[Row]:
    """The rows of `current` whose files are as they were, where features and targets are so too."""
    if any(current.manifest[key] != described[key] for key in ("features", "targets")):
        return []
    then, now = ({tuple(file) for file in files} for files in (current.manifest["files"], described["files"]))
    same = {name.removesuffix(".parquet") for name, *_ in then & now}
    return [row for row in _rows(store, current).values() if row["split"] in same]


def _rows(store: Store, eras: Version) -> dict[int, Row]:
    """One row an era, with a bit for each feature."""
    return {row["era"]: row for row in store.read(eras).collect()}


def _changed(store: Store, current: Version, now: Mapping[int, Row], keys: Sequence[str]) -> list[int] | None:
    """The eras that are others than those that `current` was made from; None where that is not known any more."""
    made_from = store.input_of(current, ERAS)
    if made_from is None:
        return None
    before = _rows(store, made_from)
    return sorted(era for era in before.keys() | now.keys() if _of(before.get(era), keys) != _of(now.get(era), keys))


def _invented(config: Config) -> object:
    """What an invented data set depends on."""
    settings = config.classic_synthetic
    return [settings.model_dump(), classic_synthetic.metadata(settings), code(root(classic_synthetic.write))]


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
