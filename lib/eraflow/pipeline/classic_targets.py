"""What the targets that a configuration names are in Numerai Classic's files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame

from eraflow.config import Config
from eraflow.errors import InputError
from eraflow.sources.classic_files import ALIAS, Folder
from eraflow.sources.classic_labels import labelled_by_era
from eraflow.sources.classic_models import OtherModels
from eraflow.sources.classic_residuals import Residual, residual_of
from eraflow.spans import reach_in_eras


@dataclass(frozen=True)
class Targets:
    """The targets of a run. `of_files`: what is named -> the target of the files that it is, or is a residual of."""

    main: str  # of the files
    of_files: Mapping[str, str]
    residuals: Mapping[str, Residual]
    keys: Mapping[str, str]  # where the config names it

    @property
    def columns(self) -> tuple[str, ...]:
        """The targets of the files that are learned, or that residuals are of."""
        return tuple(dict.fromkeys(self.of_files.values()))

    @property
    def reach(self) -> dict[str, int]:
        """How many eras on a label reaches, by the name of the target."""
        return {name: reach_in_eras(horizon(each)) for name, each in {self.main: self.main, **self.of_files}.items()}

    def refuse_unknown_models(self, others: OtherModels, folder: Folder) -> None:
        """InputError where a residual is to a model whose predictions the folder does not hold."""
        models = (*others.benchmarks, *([others.meta_model] if others.meta_model else ()))
        for name, residual in self.residuals.items():
            if residual.model not in models:
                raise InputError(
                    f"{self.keys[name]}: {folder.path} has no predictions of {residual.model!r} for {name}; "
                    + (f"choose one of {', '.join(models)}." if models else "download the benchmark models' files.")
                )


def targets(config: Config, manifest: Mapping[str, Any]) -> Targets:
    """What the config's targets are, by the manifest of the eras' table. InputError names what there is not."""
    keys = {config.targets.main: "targets.main"}
    for model, settings in config.models.items():
        keys = dict.fromkeys(settings.targets, f"models.{model}.targets") | keys
    parsed = {name: residual_of(name) for name in config.learned_targets}
    if scored := parsed[config.targets.main]:
        raise InputError(
            f"targets.main: models are scored on a target of the files, not on what is left of one; name "
            f"{scored.target} here and {config.targets.main} in models.NAME.targets."
        )
    of_files = {name: resolved(part.target if part else name, manifest, keys[name]) for name, part in parsed.items()}
    residuals = {name: Residual(of_files[name], part.model) for name, part in parsed.items() if part}
    return Targets(of_files[config.targets.main], of_files, residuals, keys)


def resolved(target: str, manifest: Mapping[str, Any], key: str = "targets.main") -> str:
    """The named target that is meant. InputError where there is no such target, or the alias equals none."""
    if target == ALIAS and manifest["alias"]:
        return str(manifest["alias"])
    if target in manifest["targets"]:
        return target
    available = ", ".join(manifest["targets"])
    if target == ALIAS:
        raise InputError(f"{key}: column {ALIAS!r} of the files equals none of their targets; name one: {available}.")
    raise InputError(f"{key}: the files have no target {target!r}; choose one of {available}.")


def horizon(target: str) -> int:
    """The trading days of `target_NAME_DAYS`. InputError for any other name."""
    days = target.rpartition("_")[2]
    if not days.isdigit() or int(days) < 1:
        raise InputError(f"target {target!r} does not tell its trading days, as target_NAME_20 does; leave it out.")
    return int(days)


def residual_checks(rows: DataFrame, residuals: Mapping[str, Residual]) -> list[tuple[str, int, str]]:
    """`check, count, detail` of each residual target: in how many eras it is unknown though its target is known.

    InputError where no era knows it. Reads the targets alone.
    """
    if not residuals:
        return []
    columns = dict.fromkeys([*residuals, *(residual.target for residual in residuals.values())])
    counts = labelled_by_era(rows, columns)
    return [_check(name, residual, counts) for name, residual in residuals.items()]


def _check(name: str, residual: Residual, counts: Any) -> tuple[str, int, str]:
    labelled = counts[counts[residual.target] > 0]
    without = labelled.loc[labelled[name] == 0, "era"].tolist()
    if len(without) == len(labelled):
        raise InputError(
            f"{name}: no row has both {residual.target} and a prediction of {residual.model}; learn another target, or "
            "download the files of one version."
        )
    some = labelled[labelled[name] > 0]
    rows = int((some[residual.target] - some[name]).sum())
    detail = (
        f"{residual.model} predicts nothing there, first in era {without[0]}, last in {without[-1]}"
        if without
        else "none"
    )
    return f"eras without {name}", len(without), detail + (f"; rows of other eras without it: {rows:,}" if rows else "")
