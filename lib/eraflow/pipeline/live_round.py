"""What `jobs/round.py` does: the open round from its live files to what is effective at Numerai, in one process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from eraflow.config import Config
from eraflow.errors import InputError
from eraflow.outcome import Outcome
from eraflow.pipeline.predict import config_of_run, predict
from eraflow.pipeline.submitting import handled
from eraflow.pipeline.watching import Watch
from eraflow.progress import Progress
from eraflow.rounds.api import CLASSIC
from eraflow.rounds.live import LIVE, LiveFiles
from eraflow.session import local_path


def live_round(
    start: Callable[[], SparkSession],
    config: Config,
    progress: Progress,
    send: bool,
    slots: Sequence[str] | None = None,
) -> Outcome:
    """Lets the runs of the slots predict the open round where they have not, then does what `jobs/submit.py` does."""
    ask = Watch(config, progress, start)
    return handled(config, progress, send, slots, _Predicting(start, config, progress), ask=ask)


@dataclass(frozen=True)
class _Predicting:
    """Predicts by a run, from the live files that were brought."""

    start: Callable[[], SparkSession]
    config: Config
    progress: Progress

    def __call__(self, run: str, live: LiveFiles) -> None:
        settings = [f"run.dir={self.config.run.dir}", *self._data_settings()]
        of_run = config_of_run([], settings, run=run)
        if of_run.source == "classic":
            of_run = config_of_run([], [*settings, f"classic.path={live.folder}", "classic.dataset=null"], run=run)
        elif of_run.signals.path is not None:
            _put(live.folder / LIVE, local_path(of_run.signals.path, "signals.path"), of_run.signals.features)
        opened = live.round.opens.date() if live.round.tournament == CLASSIC else None
        # What is in the folder of this day is of other rows: these have been looked for before.
        predict(
            self.start, of_run, self.progress, run=run, day=opened, number=live.round.number,
            force=True,
        )  # fmt: skip

    def _data_settings(self) -> list[str]:
        """Where this command's configuration says that data lie: prices come anew each day."""
        prices, signals, dates = self.config.prices, self.config.signals, self.config.dates
        found = {
            "prices.path": prices.path, "prices.actions": prices.actions, "prices.universe": prices.universe,
            "prices.rates": prices.rates, "signals.path": signals.path, "signals.mapping": signals.mapping,
            "dates.holidays": dates.holidays, "dates.late_countries": json.dumps(dates.late_countries)
            if dates.late_countries else None,
        }  # fmt: skip
        return [f"{key}={value}" for key, value in found.items() if value is not None]


def _put(file: Path, folder: Path, features: Sequence[str]) -> None:
    """Makes a round's live file that of the folder in which the run looks for Numerai's files.

    InputError where it lacks one of the `features` that the run takes of them: it is of another version of the data.
    """
    place = folder / LIVE
    if lacking := set(features) - set(pq.read_schema(file).names):
        raise InputError(
            f"signals.features: the run takes {min(lacking)}, which the round's live file does not have: it is of "
            f"another version of the data; put all files of one version into {folder}, and train on them."
        )
    if place.exists() and place.read_bytes() == file.read_bytes():
        return
    part = place.with_name(f"{LIVE}.part")
    try:
        shutil.copyfile(file, part)
        part.replace(place)
    except OSError as error:
        raise InputError(
            f"signals.path: {place} cannot be written ({error.strerror}); choose another folder."
        ) from None
