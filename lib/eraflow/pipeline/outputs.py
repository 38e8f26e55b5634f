"""What a run leaves in its folder beside predictions and models: scores, the report, the manifest."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from eraflow import scoring, search
from eraflow.config import Config
from eraflow.config.ensembles import Ensemble
from eraflow.config.models import AnyModel, Model
from eraflow.frames import read_frame
from eraflow.graphs.described import drawn
from eraflow.models import saved
from eraflow.models.feature_columns import EDGES
from eraflow.pipeline.clock import times
from eraflow.pipeline.dataset import Dataset, Shown, versions
from eraflow.pipeline.folder import RunFolder
from eraflow.pipeline.scores import Strategy
from eraflow.pipeline.versions import git_revision
from eraflow.reporting import (
    Page,
    ReportContent,
    Section,
    best_trial,
    exposures_section,
    feature_graphs_section,
    network_section,
    search_section,
    selection_section,
    strategy_section,
    times_section,
)
from eraflow.scoring.compare import differences
from eraflow.submission import write as write_csv
from eraflow.validation import Fold
from eraflow.whole_files import write_bytes, write_json

COMPARED = ("numerai_corr", "mmc")
OPENINGS = "holdouts.jsonl"  # beside the runs' folders
# Seen in a numpy prototype: 80 seeds of noise, 5 blocked folds, 17 to 22 % (walk-forward on the same data: 1 to 9 %).
TWO_SIDED_NOTE = (
    "Folds of this splitter share training data in both directions, so their scores move together and intervals are "
    "too narrow: on noise they missed zero in about 20 % of runs instead of 5 %. Walk-forward does not have this fault."
)

HEADLINES = ("numerai_corr", "mmc", "spearman", "pearson")  # what a terminal shows


@dataclass(frozen=True)
class Content:
    """What is known at the end of a run."""

    config: Config
    data: Dataset
    identity: Mapping[str, Any]
    folds: Sequence[Fold]
    scored: pd.DataFrame  # model, era, fold, metric, value, detail
    unscored: Mapping[str, Sequence[int]]
    failed: Mapping[str, str]  # the reason by model
    strategy: Strategy | None
    predicted: pd.DataFrame  # model, low, high, rows
    seconds: float

    @cached_property
    def shown(self) -> Shown:
        """What the page says of the data."""
        return self.data.shown()


def write(folder: Path, content: Content) -> None:
    """Writes the scores, the page with its figures and frames and, last, run.json: it says that the run is finished.

    Without run.json where a model failed: the run can go on.
    """
    payout = scoring.Payout(**content.config.scoring.payout.model_dump())
    by_fold = scoring.with_payout(content.scored.drop(columns="detail"), payout)
    per_era = scoring.per_era(by_fold)
    if content.strategy is not None:
        per_era = pd.concat([per_era, content.strategy.spreads]).sort_values(
            ["model", "era", "metric"], ignore_index=True
        )
        write_csv(content.strategy.performance, folder / "strategy.csv")
        write_csv(content.strategy.daily, folder / "strategy_daily.csv")
    summary = scoring.summarise(per_era, content.data.eras.overlap, by_fold)
    write_csv(per_era, folder / "per_era.csv")
    write_json(folder / "summary.json", summary)
    exposures = scoring.largest_exposures(content.scored)
    if len(exposures):
        write_csv(exposures, folder / "exposures.csv")
    kept = selected_features(folder)
    if len(kept):
        write_csv(kept, folder / "selected_features.csv")
    trials = search.trials(RunFolder(folder).search)
    if len(trials):
        write_csv(trials, folder / "search_trials.csv")
    took = _times(folder, content)
    dates = [content.data.eras.dates.get(era) for era in per_era["era"]]
    dated = per_era.assign(date=pd.Series(dates, index=per_era.index, dtype=object))
    report = Page(
        ReportContent(
            title="eraflow: out-of-fold scores",
            run_name=content.config.run.name,
            notes=_notes(content),
            per_era=dated,
            summary=summary,
            folds=content.folds,
            era_dates=content.data.eras.dates,
            quality=content.shown.quality,
            facts=_facts(content),
            comparison=_comparison(per_era, content.data.eras.overlap),
            predictions=content.predicted,
            sections=_sections(folder, content, exposures, kept, trials, took),
        )
    )
    for name, data in report.files():
        write_bytes(folder / name, data)
    if not content.failed:
        write_json(folder / "run.json", _manifest(content, trials, took))


def selected_features(folder: Path) -> pd.DataFrame:
    """`model, fit, feature, score`: what the folds' models of a run have chosen to learn from."""
    rows = [
        (file.parts[-3], f"{file.parts[-2]}/{member}" if member else file.parts[-2], *kept)
        for file in sorted(folder.glob(f"models/*/fold-*/{saved.ABOUT}"))
        for member, own in saved.selections(file.parent).items()
        for kept in own.items()
    ]
    return pd.DataFrame(rows, columns=["model", "fit", "feature", "score"])


def _times(folder: Path, content: Content) -> pd.DataFrame:
    """What every model and ensemble that was finished took."""
    models, ensembles = (
        [name for name in some if name not in content.failed]
        for some in (content.config.models, content.config.ensembles)
    )
    return times(RunFolder(folder), models, ensembles, [fold.number for fold in content.folds])


def _sections(
    folder: Path,
    content: Content,
    exposures: pd.DataFrame,
    kept: pd.DataFrame,
    trials: pd.DataFrame,
    took: pd.DataFrame,
) -> tuple[Section, ...]:
    """What some runs have: the strategy view, graphs over tickers and over features, choices and trials."""
    found = [strategy_section(content.strategy.performance)] if content.strategy is not None else []
    found += exposures_section(exposures)
    if (network := content.shown.network) is not None:
        picture, certificates = drawn(network.nodes, network.edges), (network.kkt, network.gap)
        frames = (network.by_era, network.nodes, network.edges)
        found.append(network_section(*frames, picture, certificates, content.data.eras.dates))
    if graphs := _feature_graphs(folder, content):
        found.append(feature_graphs_section(graphs))
    if len(kept):
        found.append(selection_section(kept))
    if len(trials):
        found.append(search_section(str(content.config.search.model), trials))
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


def write_holdout(folder: RunFolder, config: Config, overlap: int, scored: pd.DataFrame, fold: Fold) -> tuple[str, ...]:
    """Writes holdout.json with one opening more; returns the scores of the held-out eras as lines for a terminal.

    Openings of any era in common by other runs of this source below `run.dir` count too, whether their folders are
    there or not: holdouts.jsonl beside the folders has them all.
    """
    place, ledger = folder.path / "holdout.json", folder.path.parent / OPENINGS
    before = json.loads(place.read_text(encoding="utf-8"))["opened"] if place.exists() else []
    opened = [*before, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())]
    per_era = scoring.per_era(scored)
    summary = scoring.summarise(per_era, overlap)
    eras = [fold.validation[0], fold.validation[-1]]
    write_csv(per_era, folder.path / "holdout_per_era.csv")
    with ledger.open("a", encoding="utf-8") as lines:
        own = {"run": config.run.name, "source": config.source, "eras": eras, "opened": opened[-1]}
        lines.write(json.dumps(own) + "\n")
    every = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]
    common = [one for one in every if one["source"] == config.source and _meet(one["eras"], eras)]
    told = {"opened": opened, "opened_by_all_runs": len(common), "eras": eras, "train_eras": len(fold.train)}
    write_json(place, {**told, "summary": summary})
    often = "once" if len(common) == 1 else f"{len(common)} times by {len({one['run'] for one in common})} runs"
    return (*_lines(summary), f"holdout of eras {eras[0]} to {eras[1]}, opened {often}: {place}")


def _meet(one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two ranges, told by their first and last era, have an era in common."""
    return one[0] <= other[1] and other[0] <= one[1]


def headlines(folder: Path) -> tuple[str, ...]:
    """The scores of a finished run and where its page is, as lines for a terminal."""
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return (*_lines(summary), f"report: {folder / 'report.html'}")


def _lines(summary: Mapping[str, Any]) -> list[str]:
    lines = []
    for model, metrics in summary.items():
        for metric, found in ((name, metrics[name]) for name in HEADLINES if name in metrics):
            low_high = found["interval"]
            span = (
                f"{found['confidence']:.0%} interval {low_high[0]:+.4f} to {low_high[1]:+.4f}"
                if low_high
                else "too few eras for an interval"
            )
            sharpe = "" if found["sharpe"] is None else f", Sharpe {found['sharpe']:.2f} an era"
            mean = "undefined" if found["mean"] is None else f"{found['mean']:+.4f}"
            lines.append(f"{model} {metric}: mean {mean}, {span}, {found['eras']} eras{sharpe}")
    return lines


def _notes(content: Content) -> tuple[str, ...]:
    config, notes = content.config, list(content.shown.notes)
    if config.validation.splitter != "walk_forward":
        notes.append(TWO_SIDED_NOTE)
    if content.data.eras.unlabelled:
        dropped = ", ".join(map(str, content.data.eras.unlabelled))
        notes.append(f"Eras {dropped} have too few known returns for a target and are neither learned nor scored.")
    notes += _assumed(content)
    notes += [f"{model} failed and is left out: {reason}" for model, reason in content.failed.items()]
    for model, eras in content.unscored.items():
        notes.append(
            f"{model}: eras {', '.join(map(str, eras))} have predictions but no known target and are not scored."
        )
    return tuple(notes)


def _assumed(content: Content) -> list[str]:
    """What the estimated payout rests on, where there is one."""
    payout, there = content.config.scoring.payout, set(content.scored["metric"])
    weights = {metric: weight for metric, weight in payout.weights.items() if weight}
    if not weights or not there.issuperset(weights):
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
    told = {key: value for key, value in plain.items() if value not in (None, [], {})}
    if isinstance(model, Model) and model.selection.by != "all":
        told["learns from"] = model.selection
    return ", ".join(f"{key} {value}" for key, value in told.items())


def _manifest(content: Content, trials: pd.DataFrame, took: pd.DataFrame) -> dict[str, Any]:
    finished = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    models = took.set_index("model").round(1).to_dict(orient="index")
    return {
        "config": content.config.resolved(),
        "identity": content.identity,
        "tables": versions(content.data.tables),
        "manifest": content.data.manifest,
        "folds": [asdict(fold) for fold in content.folds],
        "quality": content.shown.quality.to_dict(orient="records"),
        "search": {
            str(part): {"trials": len(own), "settings": None if best is None else json.loads(best["settings"])}
            for part, own in trials.groupby("part")
            for best in [best_trial(own)]
        },
        "unscored_eras": {model: list(eras) for model, eras in content.unscored.items()},
        "git_revision": git_revision(),
        # Beside these, names of folders and numbers of table versions may differ between runs with the same content.
        "clock": {"finished": finished, "seconds": round(content.seconds, 1), "models": models},
    }
