"""Recipes: the settings of finished runs, as they are fitted again, varied and held against each other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from eraflow.config import Config, fingerprint, load, recipe
from eraflow.config.sections import Tables
from eraflow.errors import InputError
from eraflow.monitoring.champions import Champion
from eraflow.monitoring.promotion import Paired, evidence, paired
from eraflow.pipeline.finished import FinishedRun, finished, settings_of
from eraflow.pipeline.folder import difference
from eraflow.pipeline.live import FINAL
from eraflow.pipeline.predict import PLACES, ROWS, placed
from eraflow.pipeline.steps import Versions
from eraflow.session import local_path
from eraflow.whole_files import sha256_of

BASE = "base.yml"  # as the only layer: what nobody has said
# Sections that a command says, and no run.
COMMANDS = ("tracking", "explain", "submit", "monitor", "retrain", "replay")


@dataclass(frozen=True)
class Recipe:
    """A finished run as something that can be fitted again: its name, manifest and settings."""

    base: Path
    name: str
    manifest: Mapping[str, Any]
    config: Config

    @cached_property
    def run(self) -> FinishedRun:
        """Its scores."""
        return finished(self.base, self.name)

    @cached_property
    def live(self) -> int:
        """The newest era that it saw. InputError where its models do not tell."""
        file = self.base / self.name / f"models/{next(iter(self.config.models))}/{FINAL}/model.json"
        try:
            return int(json.loads(file.read_text(encoding="utf-8"))["live"])
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(f"{file} does not tell the newest era of run {self.name}; train the run anew.") from None

    @property
    def tables(self) -> Mapping[str, str]:
        """By table the fingerprint of what it had read."""
        found: Mapping[str, str] = self.manifest["identity"]["tables"]
        return found

    @property
    def hash(self) -> str:
        """The same for the same settings, whatever the run is called and wherever its data lie."""
        return recipe_hash(self.config)

    @property
    def fits(self) -> Mapping[str, int]:
        """How many models were fitted for it, and how many had been before."""
        found: Mapping[str, int] = self.manifest["clock"]["fits"]
        return found

    def scores(self, metric: str) -> dict[int, float]:
        """Its submission's scores by era. InputError where it does not have the metric."""
        all_of_it, model = self.run.per_era, f"{self.name}/{self.config.submission}"
        rows = all_of_it[(all_of_it["model"] == model) & (all_of_it["metric"] == metric)]
        if rows.empty:
            available = ", ".join(sorted(set(all_of_it.loc[all_of_it["model"] == model, "metric"])))
            raise InputError(f"retrain.metric is {metric}, which {model} was not scored by; there are {available}.")
        return {int(era): float(value) for era, value in zip(rows["era"], rows["value"], strict=True)}

    def facts(self) -> dict[str, Any]:
        """What a decision's manifest says of it."""
        file = self.base / self.name / "per_era.csv"
        named = {"run": self.name, "submission": self.config.submission, "recipe": self.hash, "live": self.live}
        return {**named, "tables": dict(self.tables), "per_era_sha256": sha256_of(file), "fits": dict(self.fits)}


def recipe_of(base: Path, name: str, option: str) -> Recipe:
    """The finished run of this name. InputError, which names the `option`, where there is none."""
    manifest, config = settings_of(base, name, option)
    return Recipe(base, name, manifest, config)


def recipe_hash(config: Config) -> str:
    """16 hex digits of the settings that decide what a run finds in given data."""
    settings = config.decisive()
    settings["run"] = {"seed": config.run.seed, "submission": config.submission}
    for section, keys in PLACES.items():
        settings[section] = {key: value for key, value in settings[section].items() if key not in (*keys, "note")}
    return fingerprint({key: value for key, value in settings.items() if key not in ("tables", "tracking")})


def settings_of_champion(overlays: Sequence[str], settings: Sequence[str]) -> Config:
    """The settings of the champion's run, with data and tables where the command says, and its other sections.

    What the command leaves as base.yml has it is the run's. InputError: there is no such champion, or another version
    of the data.
    """
    given, base = load(overlays or [BASE], settings), load([BASE], [])
    run = Champion.of(local_path(given.run.dir, "run.dir"), given.retrain.champion).run
    of_run = settings_of(local_path(given.run.dir, "run.dir"), run, "retrain.champion: run")[1]
    sections = {}
    for section, keys in {**PLACES, "tables": Tables.model_fields}.items():
        here, usual = getattr(given, section), getattr(base, section)
        said = {key: getattr(here, key) for key in keys if getattr(here, key) != getattr(usual, key)}
        sections[section] = getattr(of_run, section).model_copy(update=said)
    found = placed(of_run, of_run.model_copy(update=sections))
    commands = {name: getattr(given, name) for name in COMMANDS}
    place = of_run.run.model_copy(update={"dir": given.run.dir})
    return found.model_copy(update={**commands, "tables": sections["tables"], "run": place})


def varied(config: Config, overlays: Sequence[str]) -> Config | None:
    """A champion's settings with overlays on top: another recipe for the same data; None where that is no other one.

    InputError: an overlay does not fit, or changes what scores are held against, so that the two would not compare.
    """
    if not overlays:
        return None
    found = recipe(config, overlays)
    for part in ("source", "targets", "validation", "scoring"):
        here, of_champion = ({part: one.resolved()[part]} for one in (found, config))
        if here != of_champion:
            raise InputError(
                f"retrain.challenger changes what scores are held against ({difference(of_champion, here)}); leave "
                "that out, or train such a run and name it by jobs/retrain.py --install."
            )
    return None if recipe_hash(found) == recipe_hash(config) else found


def shared(config: Config, other: Config, tables: Versions | None) -> Versions | None:
    """The versions of tables that a run of `config` has read, where one of `other` can read the same."""
    is_same = all(config.resolved()[part] == other.resolved()[part] for part in ROWS)
    return tables if is_same and config.learned_targets == other.learned_targets else None


def compared(
    champion: Recipe, challenger: Recipe, metric: str, confidence: float, least: int = 0
) -> tuple[Paired, dict[str, Any]]:
    """The challenger's gain over the champion, and what a manifest keeps so that it can be found again."""
    ours, theirs = champion.scores(metric), challenger.scores(metric)
    overlap = max(champion.run.overlap, challenger.run.overlap)
    found = paired(ours, theirs, overlap, confidence, least)
    kept = {**challenger.facts(), "against": champion.facts(), "overlap": overlap, "found": found.facts()}
    return found, {**kept, "scores": evidence(ours, theirs), "metric": metric}
