"""What the job `predict` does: live predictions of a finished run's models and ensembles, in a folder of the round."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
from pyspark.sql import SparkSession

from eraflow.config import Config, fingerprint, laid_over, load
from eraflow.errors import InputError
from eraflow.frames import read_frame
from eraflow.models.levels import Vector
from eraflow.monitoring.champions import run_of
from eraflow.monitoring.profile import exposures, profile
from eraflow.pipeline.dataset import LiveRows
from eraflow.pipeline.explained_round import round_page
from eraflow.pipeline.final_models import FinalModels
from eraflow.pipeline.finished import settings_of
from eraflow.pipeline.folder import difference
from eraflow.pipeline.live import predicted
from eraflow.pipeline.round_folder import SUBMISSION, RoundFolder
from eraflow.pipeline.round_rows import Round, classic_round, signals_round
from eraflow.pipeline.versions import software
from eraflow.progress import Progress
from eraflow.rounds import predecessor
from eraflow.rounds.predicted import FORMAT, MANIFEST
from eraflow.session import local_path
from eraflow.whole_files import sha256_of, write_bytes, write_csv, write_json

EXAMPLES, BENCHMARK = "rank_corr_with_example_preds", "rank_corr_with_"
# Where data lie, and what the day asks for: a command says these anew. All else is the run's own.
PLACES = {
    "prices": ("path", "actions", "universe", "rates"),
    "signals": ("path", "mapping"),
    "dates": ("late_countries", "holidays", "complete_share"),
    "classic": ("path", "dataset"),
}
# What a command for a finished run may name, by section; none for all of it.
SETTABLE = {"run": ("dir",), "tables": (), **PLACES, "explain": ()}
ROWS = ("source", "prices", "dates", "signals", "quality", "synthetic", "classic", "classic_synthetic", "features",
        "network")  # fmt: skip # sections that decide what a row holds


def config_of_run(overlays: Sequence[str], settings: Sequence[str], run: str | None = None, **_: object) -> Config:
    """The settings of the finished run, or of a champion's, but for where data lie, which the command may say anew.

    InputError: there is no such finished run, it is of another version of eraflow, or rows would be made otherwise.
    """
    if run is None:
        raise InputError("--run is not given: name the finished run whose models predict.")
    given = load(overlays, settings)
    base = local_path(given.run.dir, "run.dir")
    run = run_of(base, run)
    trained = settings_of(base, run, "--run")[1]
    wanted = laid_over(trained, overlays, settings)
    found = placed(trained, wanted)
    here, of_run = ({name: one.resolved()[name] for name in ROWS} for one in (wanted, found))
    if here != of_run:
        raise InputError(
            f"--run {run} was trained with other settings than --config and --set say ({difference(of_run, here)}); "
            "leave them out, or train a run with them."
        )
    place = {"name": run, "dir": given.run.dir}
    chosen = {"tables": wanted.tables, "explain": wanted.explain}
    return found.model_copy(update={"run": trained.run.model_copy(update=place), **chosen})


def placed(trained: Config, wanted: Config) -> Config:
    """The run's config with the other one's places. InputError where that names another version of the data."""
    before, now = trained.classic.dataset, wanted.classic.dataset
    if before and now and before != now:
        raise InputError(f"classic.dataset is {now}, and the run was trained on {before}; train one on {now}.")
    sections = {}
    for section, keys in PLACES.items():
        places = {key: getattr(getattr(wanted, section), key) for key in keys}
        sections[section] = getattr(trained, section).model_copy(update=places)
    return trained.model_copy(update=sections)


def predict(
    start: Callable[[], SparkSession],
    config: Config,
    progress: Progress,
    run: str | None = None,
    day: date | None = None,
    number: int | None = None,
    era: int | None = None,
    force: bool = False,
) -> tuple[str, ...]:
    """Predicts the round by the run of `config_of_run`; returns lines for the user. `start` starts Spark if need be.

    `number` is the round's; `day` and `era` are those of Classic's live rows, which do not name them. What is there
    already of the same rows and models is left as it is. InputError where there is something else, unless `force`.
    """
    progress.stage(f"loading the models of {config.run.name}")
    finals = FinalModels.of(config)
    spark = None if config.is_classic else start()
    if spark is None:
        found = classic_round(config, finals, progress, day, era)
    else:
        found = signals_round(spark, config, finals, progress)
    folder = RoundFolder.of(finals.folder.path, found.date)
    if not force and found.facts["file_sha256"] and folder.holds(found.facts, finals.hashes):
        return _present(folder)
    rows = found.rows()
    facts = {**found.facts, "rows": len(rows.ids), "ids_sha256": rows.ids_sha256, "levels_sha256": rows.levels_sha256}
    content = {key: value for key, value in facts.items() if key != "file_sha256"}
    if not force and folder.path.exists():
        return _present(folder) if folder.holds(content, finals.hashes) else _refused(folder)
    made = _made(finals, rows, progress)
    files = _submissions(made, found)
    manifest = _manifest(config, finals, found, facts, number, spark)
    looks = {name: _look(rows, live["prediction"].to_numpy()) for name, live in made.items()}

    def fill(place: Path) -> None:
        _write(place, files, manifest, finals.hashes, looks)
        profile(rows.levels, rows.missing).write(place)

    if not folder.write(fill, force):
        return _present(folder) if folder.holds(content, finals.hashes) else _refused(folder)
    if config.explain.enabled:
        _explain(config, finals, rows, found, folder, progress)
    where = f"era {rows.era}" + (f" of round {number}" if number else "")
    return (f"predicted {len(rows.ids):,} rows of {found.date}, {where}: {folder.path / SUBMISSION}",)


def _explain(
    config: Config, finals: FinalModels, rows: LiveRows, found: Round, folder: RoundFolder, progress: Progress
) -> None:
    """Adds the page to the round's folder; whatever goes wrong with it, the round has been predicted."""
    try:
        for name, data in round_page(config, finals, rows, found.date, progress).items():
            write_bytes(folder.path / name, data)
    except Exception as error:
        progress.failed("explanation", error)


def _made(finals: FinalModels, rows: LiveRows, progress: Progress) -> dict[str, pd.DataFrame]:
    """`id, era, prediction` of the rows by each model and ensemble, by name."""
    made: dict[str, pd.DataFrame] = {}

    def values(model: str) -> Vector:
        return made[model]["prediction"].to_numpy()

    for name, fitted in finals.fitted.items():
        progress.stage(f"{name}: predicting {len(rows.ids):,} rows")
        made[name] = predicted(rows, fitted, values)
    return made


def _submissions(made: Mapping[str, pd.DataFrame], found: Round) -> dict[str, pd.DataFrame]:
    """The checked file of each model and ensemble, by name."""
    files = {}
    for name, live in made.items():
        try:
            files[name] = found.submission(live)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
    return files


def _look(rows: LiveRows, predictions: Vector) -> dict[str, Any]:
    """What the monitor is told of predictions, which a submission's ranks do not tell any more."""
    exposed = exposures(rows.levels, rows.missing, predictions)
    most = int(abs(exposed).argmax())
    return {
        "spread": float(predictions.std()),
        "exposure": float(abs(exposed[most])),
        "most_exposed": rows.names[most],
        "exposure_rms": float((exposed**2).mean() ** 0.5),
    }


def _write(
    place: Path,
    files: Mapping[str, pd.DataFrame],
    manifest: Mapping[str, Any],
    hashes: Mapping[str, str],
    looks: Mapping[str, Any],
) -> None:
    """Writes the files and the manifest."""
    (place / "predictions").mkdir()
    written = {}
    for name, frame in files.items():
        file = f"predictions/{name}.csv"
        write_csv(frame, place / file)
        hashed = {"sha256": sha256_of(place / file), "model_sha256": hashes[name]}
        written[name] = {"file": file, "rows": len(frame), **hashed, "look": looks[name]}
    shutil.copyfile(place / f"predictions/{manifest['submission']}.csv", place / SUBMISSION)
    write_json(place / MANIFEST, {**manifest, "predictions": written})


def _manifest(
    config: Config,
    finals: FinalModels,
    found: Round,
    facts: Mapping[str, Any],
    number: int | None,
    spark: SparkSession | None,
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "run": config.run.name,
        "tournament": finals.data["tournament"],
        "round": number,
        "date": found.date.isoformat(),
        "invented": found.is_invented,
        "live": facts,
        "features_hash": fingerprint(finals.names),
        "data_version": finals.data.get("dataset"),
        "submission": config.submission,
        "bands": bands(finals.folder.path, list(finals.fitted)),
        "software": software(spark),
        "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def bands(run: Path, models: Sequence[str]) -> dict[str, dict[str, list[float] | None]]:
    """By model what 98 % of the validated eras showed of its rank correlation with others' predictions.

    `examples` are Numerai's example predictions, `benchmark:NAME` a benchmark model; empty where the run had none.
    """
    scores = read_frame(run / "per_era.csv")
    of_others = scores[scores["metric"].str.startswith(BENCHMARK) & scores["model"].isin(models)]
    found: dict[str, dict[str, list[float] | None]] = {}
    for (model, metric), values in of_others.groupby(["model", "metric"])["value"]:
        other = "examples" if metric == EXAMPLES else f"benchmark:{str(metric).removeprefix(BENCHMARK)}"
        band = values.dropna().quantile(list(predecessor.ENDS)).tolist() if values.notna().any() else None
        found.setdefault(str(model), {"examples": None})[other] = band
    return found


def _present(folder: RoundFolder) -> tuple[str, ...]:
    return (f"{folder.path} is there already, of the same rows and models; nothing was done.",)


def _refused(folder: RoundFolder) -> tuple[str, ...]:
    raise InputError(
        f"{folder.path} holds predictions of other rows or models; give --force to put new ones in their place."
    )
