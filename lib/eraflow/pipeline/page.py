"""The page of a run: what `reporting` draws, gathered from what is known at the run's end."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from eraflow.config.ensembles import Ensemble
from eraflow.config.models import AnyModel, Model
from eraflow.frames import read_frame
from eraflow.graphs.described import drawn
from eraflow.models.feature_columns import EDGES
from eraflow.pipeline.content import Content
from eraflow.pipeline.folder import RunFolder
from eraflow.reporting import (
    Page,
    ReportContent,
    Section,
    exposures_section,
    feature_graphs_section,
    network_section,
    search_section,
    selection_section,
    strategy_section,
    times_section,
)
from eraflow.reporting.explained import explained_sections
from eraflow.scoring.compare import differences

COMPARED = ("numerai_corr", "mmc")
# Seen in a numpy prototype: 80 seeds of noise, 5 blocked folds, 17 to 22 % (walk-forward on the same data: 1 to 9 %).
TWO_SIDED_NOTE = (
    "Folds of this splitter share training data in both directions, so their scores move together and intervals are "
    "too narrow: on noise they missed zero in about 20 % of runs instead of 5 %. Walk-forward does not have this fault."
)


def page(folder: Path, content: Content, kept: pd.DataFrame, took: pd.DataFrame) -> Page:
    """The page with its figures; `kept` are features chosen (`selected_features`), `took` what each model took."""
    eras, per_era = content.data.eras, content.scored.per_era
    dates = pd.Series([eras.dates.get(era) for era in per_era["era"]], index=per_era.index, dtype=object)
    return Page(
        ReportContent(
            title="eraflow: out-of-fold scores",
            run_name=content.config.run.name,
            notes=_notes(content),
            per_era=per_era.assign(date=dates),
            summary=content.summary,
            folds=content.folds,
            era_dates=eras.dates,
            quality=content.shown.quality,
            facts=_facts(content),
            comparison=_comparison(per_era, eras.overlap),
            predictions=content.predicted,
            sections=_sections(folder, content, kept, took),
        )
    )


def _sections(folder: Path, content: Content, kept: pd.DataFrame, took: pd.DataFrame) -> tuple[Section, ...]:
    """What some runs have: the strategy view, graphs over tickers and over features, choices and trials."""
    strategy = content.scored.strategy
    found = [strategy_section(strategy.performance)] if strategy is not None else []
    found += exposures_section(content.scored.exposures)
    if (network := content.shown.network) is not None:
        picture, certificates = drawn(network.nodes, network.edges), (network.kkt, network.gap)
        frames = (network.by_era, network.nodes, network.edges)
        found.append(network_section(*frames, picture, certificates, content.data.eras.dates))
    if graphs := _feature_graphs(folder, content):
        found.append(feature_graphs_section(graphs))
    if len(kept):
        found.append(selection_section(kept))
    if len(content.trials):
        found.append(search_section(str(content.config.search.model), content.trials))
    if content.explained:
        found += explained_sections(content.explained)
    if len(took):
        found.append(times_section(took))
    return tuple(found)


def _feature_graphs(folder: Path, content: Content) -> dict[str, pd.DataFrame]:
    """Edges by final model; of several fits of one model the first."""
    graphs: dict[str, pd.DataFrame] = {}
    for name in (model for model in content.config.models if model not in content.failed):
        saved = sorted(RunFolder(folder).model(name, "final").rglob(EDGES))
        graphs |= {name: read_frame(saved[0])} if saved else {}
    return graphs


def _comparison(per_era: pd.DataFrame, overlap: int) -> pd.DataFrame:
    """Paired differences of all models, for the metrics that pay."""
    found = [differences(per_era, metric, overlap).assign(metric=metric) for metric in COMPARED]
    return pd.concat([part for part in found if len(part)] or found[:1], ignore_index=True)


def _notes(content: Content) -> tuple[str, ...]:
    config, notes = content.config, list(content.shown.notes)
    if config.validation.splitter != "walk_forward":
        notes.append(TWO_SIDED_NOTE)
    if content.data.eras.unlabelled:
        dropped = ", ".join(map(str, content.data.eras.unlabelled))
        notes.append(f"Eras {dropped} have too few known returns for a target and are neither learned nor scored.")
    notes += _assumed(content)
    notes += [f"{model} failed and is left out: {reason}" for model, reason in content.failed.items()]
    for model, eras in content.scored.unscored.items():
        notes.append(
            f"{model}: eras {', '.join(map(str, eras))} have predictions but no known target and are not scored."
        )
    return tuple(notes)


def _assumed(content: Content) -> list[str]:
    """What the estimated payout rests on, where there is one."""
    payout, scored = content.config.scoring.payout, set(content.scored.by_fold["metric"])
    weights = {metric: weight for metric, weight in payout.weights.items() if weight}
    if not weights or not scored.issuperset(weights):
        return []
    total = " + ".join(f"{weight:g} {metric}" for metric, weight in weights.items())
    return [
        f"payout is an estimate by assumed factors: {payout.factor:g} x ({total}) of the stake in an era, at most "
        f"{payout.limit:.0%} either way. Numerai's own factors change from round to round; scoring.payout sets them."
    ]


def _facts(content: Content) -> dict[str, str]:
    config = content.config
    return {
        **content.shown.facts,
        "validation": f"{config.validation.splitter}, {len(content.folds)} folds",
        "sampling": str(config.sampling),
        **{f"model {name}": _settings(model) for name, model in config.models.items()},
        **{f"ensemble {name}": _settings(ensemble) for name, ensemble in config.ensembles.items()},
        "seed": str(config.run.seed),
        "tables": ", ".join(f"{made.name} {made.number}" for made in content.data.tables),
        "software": ", ".join(f"{name} {value}" for name, value in content.identity["software"].items()),
    }


def _settings(model: AnyModel | Ensemble) -> str:
    plain = model.model_dump(mode="json", exclude={"selection"})
    shown = {key: value for key, value in plain.items() if value not in (None, [], {})}
    if isinstance(model, Model) and model.selection.by != "all":
        shown["learns from"] = model.selection
    return ", ".join(f"{key} {value}" for key, value in shown.items())
