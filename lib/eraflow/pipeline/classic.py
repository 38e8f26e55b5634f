"""Numerai Classic as a run sees it: a round's files, checked, surveyed and packed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame, Row

from eraflow.config import Config
from eraflow.definitions import Definition, root
from eraflow.errors import InputError
from eraflow.features import hashes
from eraflow.features.missing import COMPARED, most_missing
from eraflow.features.packing import PackedSets
from eraflow.models.base import Training
from eraflow.pipeline import classic_steps
from eraflow.pipeline.classic_targets import Targets, horizon, residual_checks, targets
from eraflow.pipeline.dataset import Eras, LiveRows, Shown, hashes_together
from eraflow.pipeline.scores import LEARNED, classic_references
from eraflow.pipeline.site import Site
from eraflow.pipeline.steps import Steps, Versions
from eraflow.progress import Progress
from eraflow.rounds import submission
from eraflow.scoring import References
from eraflow.sources.classic_files import ALIAS, Folder
from eraflow.sources.classic_labels import with_alias, with_labels, within
from eraflow.sources.classic_live import FILE, MEND, LiveFile, catalogue_hash, is_invented
from eraflow.sources.classic_models import MODEL_FILES, OtherModels, other_models
from eraflow.sources.classic_survey import ABSENT, absent_features
from eraflow.spans import CLASSIC_MARGIN, EraSpan, reach_in_eras, spans_from_numbers
from eraflow.tables import Store, Version, file_names

SYNTHETIC_NOTE = (
    "The data set is invented, in the shape of Numerai Classic's. A stock's features tell {signal} deviations of its "
    "weekly return; the real ones tell far less."
)
UNPAID_NOTE = (
    "Models are scored on {target}, and Numerai pays on {paid}: set targets.main={paid} to learn and score what is "
    "paid, or classic.paid_target if that has changed."
)
ABSENT_NOTE = (
    "Models are scored on {target}, and Numerai pays on {paid}, which these files do not have: take the newest version."
)


def dataset(store: Store, config: Config, progress: Progress, given: Versions | None = None) -> Classic:
    """Brings the tables up to date, unless they are given."""
    site = Site(store, config, progress)
    folder = classic_steps.files(config, progress)
    tables = given or classic_steps.eras(site, folder)
    eras = tables[classic_steps.ERAS]
    chosen = targets(config, eras.manifest)
    others = other_models(store.spark, folder, None) if chosen.residuals else OtherModels((), None, ())
    chosen.refuse_unknown_models(others, folder)
    sets = classic_steps.sets(config, eras)
    names, _ = sets.chosen(config.classic.features)
    for name in set(config.scoring.feature_sets) - {LEARNED}:
        sets.chosen((name,), "scoring.feature_sets")  # refused before rows are packed
    live = classic_steps.live(folder, eras, names)
    tables = given or _packed(site, folder, tables, chosen, others)
    beside = [tables[name] for name in ("classic_targets", "classic_residuals") if name in tables]
    training = _training(config, store, sets, tables["classic_training"], beside, chosen)
    checks = residual_checks(training.table, chosen.residuals)
    # One row an era.
    rows = (
        store.read(eras)
        .select("era", "split", "rows", "nulls", "absent", "unknown", "levels_hash")
        .orderBy("era")
        .collect()
    )
    found = Classic(store, config, tables, folder, sets, chosen, training, live, rows, checks)
    if not found.eras.labelled:
        raise InputError(f"{folder.path}: no era knows {chosen.main}; add train.parquet or validation.parquet.")
    for note in found.notes:
        progress.note(note)
    return found


@dataclass(frozen=True)
class Classic:
    """The data of Classic (a `Dataset`): a round's files, at these versions of their tables."""

    store: Store
    config: Config
    made: Versions
    folder: Folder
    sets: PackedSets
    targets: Targets
    training: Training
    round: LiveFile
    survey: Sequence[Row]  # by era
    checks: Sequence[tuple[str, int, str]]
    asset = None

    @property
    def tables(self) -> Sequence[Version]:
        return tuple(self.made.values())

    @property
    def manifest(self) -> Mapping[str, Any]:
        return self.made["classic_training"].manifest

    @cached_property
    def eras(self) -> Eras:
        return Eras(self.spans(()), reach_in_eras(horizon(self.targets.main)), int(self._surveyed["live_era"]))

    def spans(self, targets: Sequence[str]) -> Sequence[EraSpan]:
        labelled = [row["era"] for row in self.survey if self.targets.main not in row["unknown"]]
        longest = max(horizon(self.targets.of_files.get(name, name)) for name in (self.targets.main, *targets))
        # A purge that is asked for is taken if labels cannot meet; without one, as many eras as Numerai's own models.
        margin = CLASSIC_MARGIN if self.config.validation.purge is None else 0
        return spans_from_numbers(labelled, longest, margin)

    def era_hashes(self, targets: Sequence[str]) -> Mapping[int, str]:
        found = {row["era"]: row["levels_hash"] for row in self.survey}
        for table, hashed in self._target_hashes.items():
            wanted = [name for name in dict.fromkeys(self._columns(targets)) if name in hashed.columns]
            for era, text in hashes_together(hashed, wanted).items():
                found[era] = f"{found[era]} {table} {text}"
        return found

    @property
    def reading(self) -> Sequence[Definition]:
        return (root(with_labels), root(with_alias), root(PackedSets))

    def files(self, eras: Sequence[int]) -> Sequence[str]:
        packed = self.made["classic_training"]
        return file_names(within(self.store.read(packed), eras, self.config.tables.era_block))

    @cached_property
    def live(self) -> LiveRows:
        data = self.training
        return LiveRows(self.eras.live, self.round.ids, self.round.levels, data.feature_names, data.missing)

    @cached_property
    def model_facts(self) -> Mapping[str, Any]:
        data, recent = self.training, [row["era"] for row in self.survey][-COMPARED:]
        return {
            "tournament": "classic",
            "dataset": self.config.classic.dataset,
            "invented": is_invented(self.folder, classic_steps.LABELLED_FILES),
            "catalogue": catalogue_hash(self._surveyed["features"]),
            "dtype": self._surveyed["dtype"],
            "most_missing": most_missing(data.rows(recent), data.feature_names, data.missing),
        }

    @cached_property
    def references(self) -> References:
        return classic_references(self.config, self.store, self.folder, self.sets, self.made["classic_training"])

    @property
    def reference_files(self) -> Sequence[Any]:
        is_real = self.config.source == "classic"
        return self.folder.identity(MODEL_FILES) if is_real else ()

    @property
    def live_hash(self) -> str:
        # Another live file makes another run: a finished one has predicted its own.
        return self.live.levels_sha256

    @property
    def notes(self) -> tuple[str, ...]:
        return _notes(self.config, self._surveyed, self.targets.main)

    def check_live(self) -> None:
        submission.check_rows(len(self.live.ids))
        self.live.refuse_missing(self.model_facts, f"{self.folder.path}/{FILE}", MEND)

    def submission(self, live: pd.DataFrame) -> pd.DataFrame:
        return submission.classic(live)

    def strategy(self, predictions: DataFrame) -> None:
        """Nothing: there are no prices."""

    def shown(self) -> Shown:
        target, eras, training = self.targets.main, self.eras.labelled, self.training
        lacking = _lacking(self.round)
        facts = {
            "source": str(self.folder.path),
            "eras": f"{len(eras)} weekly eras with a target, {eras[0]} to {eras[-1]}; live era {self.eras.live}",
            "rows": ", ".join(f"{split} {count:,}" for split, count in self._surveyed["rows"].items()),
            "live rows": f"{len(self.round.ids):,}",
            "features": f"{len(training.feature_names)} ({', '.join(self.config.classic.features)})",
            "target": f"{target} ({ALIAS} in the files)" if self._surveyed["alias"] == target else target,
            "labels overlap": f"{self.eras.overlap} eras",
        }
        return Shown(_quality(self.survey, self._surveyed, [*lacking, *self.checks]), self.notes, facts)

    def _columns(self, targets: Sequence[str]) -> list[str]:
        """What the tables of targets call these."""
        residuals = self.targets.residuals
        return [name if name in residuals else self.targets.of_files.get(name, name) for name in targets]

    @cached_property
    def _target_hashes(self) -> Mapping[str, pd.DataFrame]:
        """By table the hashes of the targets that are learned, by era."""
        held = {"classic_targets": self.targets.columns, "classic_residuals": tuple(self.targets.residuals)}
        return {name: hashes.of_arrays(self.store.read(self.made[name]), targets)
                for name, targets in held.items() if name in self.made}  # fmt: skip

    @property
    def _surveyed(self) -> Mapping[str, Any]:
        return self.made[classic_steps.ERAS].manifest


def _packed(site: Site, folder: Folder, eras: Versions, chosen: Targets, others: OtherModels) -> Versions:
    """Fresh versions of all tables, residual targets among them where models learn any."""
    tables = classic_steps.packed(site, folder, eras)
    if not chosen.residuals:
        return tables
    packed, labels = tables["classic_training"], tables["classic_targets"]
    step = classic_steps.residuals_step(site, folder, packed, labels, chosen, others)
    return Steps(site.store, site.progress).taken([lambda made: step], tables)


def _training(
    config: Config, store: Store, sets: PackedSets, packed: Version, labels: Sequence[Version], chosen: Targets
) -> Training:
    """The packed rows as models see them, with their targets and, where there are any, residual targets."""
    names, features = sets.chosen(config.classic.features)
    table = store.read(packed)
    for version, held in zip(labels, (chosen.columns, tuple(chosen.residuals)), strict=False):
        table = with_labels(table, store.read(version), held)
    columns = [f"`{name}`" for name in (*chosen.columns, *chosen.residuals)]
    if any(ALIAS in model.targets for model in config.models.values()):
        table, columns = with_alias(table, chosen.of_files[ALIAS]), [*columns, ALIAS]
    rows = table.select("id", "era", features.alias("features"), *columns)
    missing = int(packed.manifest["missing"])
    return Training(rows, names, chosen.main, missing, families=sets.within(names), reach=chosen.reach, absent=ABSENT)


def _lacking(live: LiveFile) -> list[tuple[str, int, str]]:
    lacking, features = int(live.absent.sum()), live.levels.shape[1]
    return [
        ("features that the live rows lack", lacking, f"of {features}: nulls or 2 throughout; they count as missing")
    ]


def _quality(rows: Sequence[Row], manifest: Mapping[str, Any], checks: Sequence[tuple[str, int, str]]) -> pd.DataFrame:
    """`check, count, detail`: what the files hold that is accepted and worth knowing."""
    features = len(manifest["features"])
    values = sum(row["rows"] for row in rows) * features
    nulls = sum(row["nulls"] for row in rows)
    lacking = {row["era"]: int(absent_features(row["absent"], features).sum()) for row in rows}
    worst = max(lacking, key=lambda era: lacking[era])
    some = [era for era, count in lacking.items() if count]
    without = [row["era"] for row in rows if row["unknown"]]
    gaps = manifest["gaps"]
    found = [
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
    return pd.DataFrame(found, columns=["check", "count", "detail"])


def _notes(config: Config, manifest: Mapping[str, Any], target: str) -> tuple[str, ...]:
    synthetic, paid = config.source == "classic_synthetic", config.classic.paid_target
    notes = [SYNTHETIC_NOTE.format(signal=config.classic_synthetic.signal)] if synthetic else []
    if manifest["gaps"]:
        notes.append("Era numbers have gaps; purges count era numbers, so that none is shorter for it.")
    if target != paid:
        note = UNPAID_NOTE if paid in manifest["targets"] else ABSENT_NOTE
        notes.append(note.format(target=target, paid=paid))
    return tuple(notes)
