"""What is checked before a file is sent; each refusal is an InputError with one sentence, and nothing is sent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numerai_tools.submissions import (
    NUMERAI_ALLOWED_ID_COLS,
    NUMERAI_ALLOWED_PRED_COLS,
    SIGNALS_ALLOWED_ID_COLS,
    SIGNALS_ALLOWED_PRED_COLS,
    SIGNALS_MIN_TICKERS,
    validate_submission_numerai,
    validate_submission_signals,
)

from eraflow.errors import InputError
from eraflow.rounds.api import CLASSIC
from eraflow.rounds.live import LiveFiles
from eraflow.rounds.predicted import Predicted

AGAIN = "predict again"
MIN_IN_COMMON = 0.5  # of the rows, for a correlation to be told


@dataclass(frozen=True)
class Candidate:
    """A file that is to be sent, under the name by which refusals call it."""

    name: str
    frame: pd.DataFrame
    live: LiveFiles

    @property
    def ids(self) -> pd.Series[str]:
        return self.frame.iloc[:, 0]

    @property
    def values(self) -> pd.Series[float]:
        """By id."""
        return pd.Series(self.frame.iloc[:, 1].to_numpy(dtype="float64"), index=pd.Index(self.ids, name="id"))


def check_origin(predicted: Predicted, live: LiveFiles, is_real: bool) -> None:
    """Refuses predictions of invented data (unless they go to the stand-in), of another tournament or another round."""
    if predicted.is_invented and is_real:
        raise InputError(f"run {predicted.run} learned from invented data; such predictions are never sent to Numerai.")
    name, current = str(predicted.folder), live.round
    if predicted.tournament != current.tournament:
        raise InputError(f"{name} is of {predicted.tournament}, and the round of {current.tournament}; mend the slot.")
    number = predicted.manifest.get("round")
    if number is not None and number != current.number:
        raise InputError(f"{name} is of round {number}, and round {current.number} is the current one; {AGAIN}.")
    version = predicted.manifest.get("data_version")
    if version is not None and live.version.rpartition("/")[2] != version.rpartition("/")[2]:
        raise InputError(
            f"{name} is of data version {version}, and the live file of {current} of {live.version}; train a run on it."
        )
    if not is_of(predicted, live):
        rows = "other live rows than those"
        if current.tournament != CLASSIC:
            rows = f"{predicted.date}, not {live.data_date}, the date"
        raise InputError(f"{name} was predicted for {rows} of {current}; {AGAIN}.")


def is_of(predicted: Predicted, live: LiveFiles) -> bool:
    """Whether predictions are for these live rows: by ids and, where it is known, the file they were read from.

    Of Signals, whose names stay for weeks and whose rows are made of prices, by date.
    """
    if live.round.tournament != CLASSIC:
        return predicted.date == live.data_date
    return predicted.ids == live.ids_hash and predicted.live_sha256 in (None, live.sha256)


def check_file(candidate: Candidate) -> list[str]:
    """Refuses what Numerai would refuse, and what it would take but not as it was meant; returns facts to be told."""
    if candidate.live.round.tournament == CLASSIC:
        _check_header(candidate, NUMERAI_ALLOWED_ID_COLS, NUMERAI_ALLOWED_PRED_COLS)
        _check_ids(candidate)
        _check_exactly(candidate)
        _check_values(candidate)
        try:
            validate_submission_numerai(pd.Series(candidate.live.ids), candidate.frame.copy())
        except AssertionError as error:
            raise InputError(f"{candidate.name}: numerai-tools refuses it ({error}); {AGAIN}.") from None
        return [f"{len(candidate.frame):,} predictions, one for each id of {candidate.live.round}"]
    _check_header(candidate, SIGNALS_ALLOWED_ID_COLS, SIGNALS_ALLOWED_PRED_COLS)
    _check_ids(candidate)
    covered = _check_covered(candidate)
    _check_values(candidate)
    try:
        validate_submission_signals(candidate.live.universe, candidate.frame.copy())
    except AssertionError as error:
        raise InputError(f"{candidate.name}: numerai-tools refuses it ({error}); {AGAIN}.") from None
    total, outside = len(candidate.live.ids), len(candidate.frame) - covered
    dropped = f"; {outside:,} names outside it will be dropped" if outside else ""
    share = f"{covered:,} of the {total:,} names of the live universe ({covered / total:.1%})"
    return [f"{share}, .5 for the others{dropped}"]


def coverage(candidate: Candidate) -> float:
    """Signals: the share of the live universe that has a signal."""
    return float(_is_covered(candidate).sum()) / len(candidate.live.ids)


def check_coverage(candidate: Candidate, earlier: Sequence[float], tolerance: float) -> list[str]:
    """Signals: refuses a coverage that is farther from the median of earlier ones than `tolerance`."""
    if not earlier:
        return []
    usual, found = float(np.median(earlier)), coverage(candidate)
    if abs(found - usual) > tolerance:
        raise InputError(
            f"{candidate.name} covers {found:.1%} of the live universe, and the last {len(earlier)} covered about "
            f"{usual:.1%}; look at the prices and the map of tickers, or widen submit.coverage."
        )
    return [f"usual coverage {usual:.1%}"]


def check_bands(
    candidate: Candidate,
    others: Mapping[str, pd.Series[float]],
    bands: Mapping[str, Sequence[float] | None],
    advisory: Collection[str] = (),
) -> tuple[list[str], list[str]]:
    """Refuses predictions that are unlike others on the same rows, by the bands that validation eras showed.

    Returns facts for the user, and which of the `advisory` ones they are unlike: these refuse nothing.
    """
    facts, apart, mine = [], [], candidate.values
    for name, other in others.items():
        band = bands.get(name)
        common = other[~other.index.duplicated()].reindex(mine.index)
        if common.notna().mean() < MIN_IN_COMMON or common.nunique() < 2:
            facts.append(f"{name} not compared: it has too few of these rows")
            continue
        found = float(mine.corr(common, method="spearman"))
        if band is None:
            facts.append(f"rank correlation with {name} {found:+.3f} (no band is known)")
            continue
        low, high = band
        is_inside = low <= found <= high
        if not is_inside and name in advisory:
            apart.append(name)
        elif not is_inside:
            raise InputError(
                f"{candidate.name} has a rank correlation of {found:+.3f} with {name} on the live rows, outside of "
                f"{low:+.3f} to {high:+.3f}, the band of validation eras; look at the live data and the model, or set "
                "submit.bands."
            )
        mark = "" if is_inside else ", WARNING: outside"
        facts.append(f"rank correlation with {name} {found:+.3f} (usual {low:+.3f} to {high:+.3f}{mark})")
    absent = [name for name, band in bands.items() if band is not None and name not in others]
    return facts + [f"{name} not compared: its live predictions are not there" for name in absent], apart


def _check_header(candidate: Candidate, ids: Sequence[str], values: Sequence[str]) -> None:
    columns = list(candidate.frame.columns)
    if len(columns) != 2 or columns[0] not in ids or columns[1] not in values:
        raise InputError(
            f"{candidate.name} has the columns {', '.join(columns)}; {candidate.live.round.tournament} takes "
            f"{' or '.join(ids)}, and {' or '.join(values)}."
        )
    if candidate.frame.empty:
        raise InputError(f"{candidate.name} has no rows; {AGAIN}.")


def _check_ids(candidate: Candidate) -> None:
    ids = candidate.ids
    if ids.isna().any():
        raise InputError(f"{candidate.name} has {ids.isna().sum()} rows without {ids.name}; {AGAIN}.")
    twice = ids[ids.duplicated()].unique()
    if len(twice):
        repeated = _counted(ids.name, len(twice))
        raise InputError(f"{candidate.name} has {repeated} more than once, e.g. {twice[0]}; {AGAIN}.")


def _check_exactly(candidate: Candidate) -> None:
    """Classic: exactly the round's ids."""
    here, wanted = set(candidate.ids), set(candidate.live.ids)
    if not here & wanted:
        raise InputError(f"{candidate.name} is of another round: {candidate.live.round} has none of its ids; {AGAIN}.")
    for some, relation in ((wanted - here, "lacks"), (here - wanted, "has, beside")):
        if some and relation == "lacks":
            raise InputError(
                f"{candidate.name} lacks {len(some):,} of the {len(wanted):,} ids of {candidate.live.round}, e.g. "
                f"{min(some)}; {AGAIN}."
            )
        if some:
            raise InputError(
                f"{candidate.name} has {_counted('id', len(some))} that {candidate.live.round} does not have, e.g. "
                f"{min(some)}; {AGAIN}."
            )


def _check_values(candidate: Candidate) -> None:
    column = candidate.frame.columns[1]
    numbers = pd.to_numeric(candidate.frame[column], errors="coerce")
    faulty = numbers.isna()
    if faulty.any():
        raise InputError(
            f"{candidate.name}: {column} is empty or no number in {int(faulty.sum()):,} rows, e.g. of "
            f"{candidate.ids[faulty].iloc[0]}; {AGAIN}."
        )
    outside = ~((numbers > 0) & (numbers < 1))
    if outside.any():
        raise InputError(
            f"{candidate.name}: {column} of {candidate.ids[outside].iloc[0]} is {numbers[outside].iloc[0]:g}; it must "
            f"be above 0 and below 1 ({int(outside.sum()):,} rows are not); {AGAIN}."
        )
    if numbers.nunique() < 2:
        raise InputError(f"{candidate.name} has one {column} for all rows, {numbers.iloc[0]:g}; look at the model.")


def _is_covered(candidate: Candidate) -> pd.Series[bool]:
    return candidate.ids.isin(candidate.live.universe[candidate.ids.name].dropna().astype(str))


def _check_covered(candidate: Candidate) -> int:
    """How many names are of the live universe."""
    column, live = candidate.ids.name, candidate.live
    if column not in live.universe.columns:
        raise InputError(
            f"{candidate.name} names its rows by {column}, and the live file of {live.round} by "
            f"{' or '.join(live.universe.columns)}; train the run with signals.path, so that names are Numerai's."
        )
    covered = int(_is_covered(candidate).sum())
    if covered < SIGNALS_MIN_TICKERS:
        raise InputError(
            f"{candidate.name} has {covered:,} names of the live universe, and Numerai takes no fewer than "
            f"{SIGNALS_MIN_TICKERS}; give prices of more tickers, or mend the map of tickers."
        )
    return covered


def _counted(what: object, count: int) -> str:
    return f"{count:,} {what}s" if count > 1 else f"1 {what}"
