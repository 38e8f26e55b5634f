"""A round's live files: brought once for all slots, and what predictions are held against read from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from numerai_tools.submissions import SIGNALS_ALLOWED_ID_COLS

from eraflow.errors import InputError
from eraflow.progress import Progress
from eraflow.rounds.api import CLASSIC, SIGNALS, Numerai
from eraflow.rounds.calendar import Round
from eraflow.rounds.predicted import ids_hash
from eraflow.rounds.trouble import RefusedError, UnreachableError
from eraflow.sources import classic_live
from eraflow.sources.downloads import Remote, TransferError, brought
from eraflow.whole_files import sha256_of

LIVE, FEATURES = classic_live.FILE, "features.json"  # Signals' live rows are in a file of this name, too
EXAMPLES, BENCHMARKS = "live_example_preds.parquet", "live_benchmark_models.parquet"
BENCHMARK = "benchmark:"  # before a benchmark model's name, among those that are compared
SIGNALS_VERSIONS = ("v3.0", "v2.1")  # the first that is served


@dataclass(frozen=True)
class LiveFiles:
    """The files of a round's live rows, in a folder of their own."""

    round: Round
    version: str  # of the data: v5.3, signals/v3.0
    folder: Path

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Of the live rows, as Numerai names them. InputError where there are none."""
        column = "id" if self.round.tournament == CLASSIC else self.id_columns[0]
        found = tuple(map(str, self._read([column])[column]))
        if not found:
            raise InputError(f"{self._live}: the live file of {self.round} has no rows; wait for another one.")
        return found

    @cached_property
    def id_columns(self) -> tuple[str, ...]:
        """The columns by which a Signals file may name its rows, Numerai's own name first."""
        names = pq.read_schema(self._live).names
        return tuple(name for name in reversed(SIGNALS_ALLOWED_ID_COLS) if name in names)

    @cached_property
    def universe(self) -> pd.DataFrame:
        """Signals: the names of the live rows, a column for each way to name them."""
        return self._read(list(self.id_columns))

    @property
    def ids_hash(self) -> str:
        return ids_hash(self.ids)

    @cached_property
    def sha256(self) -> str:
        """Of the file of the live rows."""
        return str(sha256_of(self._live))

    @cached_property
    def date(self) -> str | None:
        """The newest date of the live rows, where they have any."""
        if "date" not in pq.read_schema(self._live).names:
            return None
        newest = self._read(["date"])["date"].max()
        return str(newest)[:10] if newest is not None else None

    @property
    def data_date(self) -> str:
        """The day that predictions are made for: the live rows', else as the API tells it, else that before opening."""
        return self.date or self.round.data_date or self.round.day_before

    @cached_property
    def others(self) -> Mapping[str, pd.Series[float]]:
        """Predictions of others for the live rows, by id: `examples`, and `benchmark:NAME` for each benchmark model."""
        found: dict[str, pd.Series[float]] = {}
        for file, named in ((EXAMPLES, "examples"), (BENCHMARKS, None)):
            if not (self.folder / file).exists():
                continue
            frame = pd.read_parquet(self.folder / file)
            frame = frame if "id" not in frame.columns else frame.set_index("id")
            for column in frame.select_dtypes("number").columns:
                found[named or f"{BENCHMARK}{column}"] = frame[column]
        return found

    def neutralizers(self, column: str) -> pd.DataFrame:
        """Signals: by name in `column`, what comes nearest to what the server neutralises with.

        Its own live neutralizers where the file has them, else the factors among its features; absent values are 0.
        """
        names = pq.read_schema(self._live).names
        chosen = [name for name in names if name.startswith("neutralizer_")]
        chosen = chosen or [name for name in names if name.startswith("feature_") and name.endswith("_factor")]
        frame = self._read([column, *chosen]).drop_duplicates(column).set_index(column)
        return frame.astype("float64").fillna(0.0)

    def _read(self, columns: list[str]) -> pd.DataFrame:
        frame: pd.DataFrame = pq.read_table(self._live, columns=columns).to_pandas(ignore_metadata=True)
        return frame

    @property
    def _live(self) -> Path:
        return self.folder / LIVE


def bring(client: Numerai, current: Round, version: str | None, base: Path, progress: Progress) -> LiveFiles:
    """The round's live files below `base`, downloaded where they are missing or have changed.

    `version` is Classic's data version. InputError: Numerai has no such version. UnreachableError: it does not answer,
    or its files are still those of another round, which ends by itself.
    """
    served = client.names()
    dataset = _dataset(current.tournament, version, served)
    folder = base / f"{current.tournament}-{current.number}"
    needed = [LIVE] if current.tournament == SIGNALS else [FEATURES, LIVE]
    if absent := [name for name in needed if f"{dataset}/{name}" not in served]:
        raise InputError(f"{current}: {dataset}/{absent[0]} is not at Numerai; train on a version that it serves.")
    remote = Remote(lambda: served, client.file_address)
    try:
        brought(remote, dataset, needed, folder, progress)
    except TransferError as error:
        raise UnreachableError(str(error)) from None
    for name in (EXAMPLES, BENCHMARKS):  # only for comparisons
        if f"{dataset}/{name}" in served:
            try:
                brought(remote, dataset, [name], folder, progress)
            except (TransferError, UnreachableError, RefusedError) as error:
                progress.note(f"{name} could not be brought, and is not compared: {error}")
    found = LiveFiles(current, dataset, folder)
    _refuse_stale(found, base)
    return found


def _dataset(tournament: str, version: str | None, served: Sequence[str]) -> str:
    if tournament == CLASSIC:
        if version is None:
            raise InputError("submit: no run says which version of Classic's data it reads; set classic.dataset=v5.3.")
        return version
    candidates = (f"signals/{version}" for version in SIGNALS_VERSIONS)
    found = next((dataset for dataset in candidates if f"{dataset}/{LIVE}" in served), None)
    if found is None:
        versions = ", ".join(f"signals/{version}" for version in SIGNALS_VERSIONS)
        raise InputError(f"Numerai serves none of {versions}; look for a newer eraflow.")
    return found


def _refuse_stale(files: LiveFiles, base: Path) -> None:
    """UnreachableError where the live file is still that of another round."""
    expected = files.round.data_date or files.round.day_before
    if files.date and files.date != expected:
        raise UnreachableError(
            f"{files.round} is of {expected}, and the live file that Numerai serves is of {files.date}"
        )
    if files.round.tournament != CLASSIC:  # Signals' names stay the same for weeks
        return
    mine = set(files.ids)
    for other in sorted(base.glob(f"{CLASSIC}-*/{LIVE}")):
        if other.parent != files.folder and mine & set(_ids(other)):
            raise UnreachableError(f"Numerai still serves the live file of round {other.parent.name.partition('-')[2]}")


def _ids(path: Path) -> Any:
    return pq.read_table(path, columns=["id"]).column("id").to_pylist()
