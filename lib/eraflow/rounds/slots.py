"""From a slot to a parcel: the run's prediction for the round is found, checked, and made what is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from eraflow.causes import first_line
from eraflow.config.submit import Slot, Submit
from eraflow.errors import InputError
from eraflow.rounds import checks, predecessor, smoothing
from eraflow.rounds.api import CLASSIC, SIGNALS, Numerai
from eraflow.rounds.calendar import Round
from eraflow.rounds.checks import Candidate
from eraflow.rounds.ledger import Event, Ledger
from eraflow.rounds.live import BENCHMARK, LIVE, LiveFiles
from eraflow.rounds.predicted import Predicted, all_predicted, frame_of
from eraflow.rounds.sending import effective

PREDECESSOR = "predecessor"  # among the others that a file is compared with


@dataclass(frozen=True)
class Checked:
    """A file that may be sent, and what its checks have to tell."""

    content: bytes
    origin: str
    facts: dict[str, Any]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Desk:
    """Where a round's files are checked: all slots of one tournament share its live files."""

    settings: Submit
    runs: Path  # run.dir
    ledger: Ledger
    client: Numerai
    live: LiveFiles

    def predicted(self, run: str) -> Predicted | None:
        """What a run has predicted for the round's live rows, by whatever name of its folder; the newest."""
        found = [one for one in all_predicted(self.runs / run)[0] if checks.is_of(one, self.live)]
        return found[-1] if found else None

    def checked(self, name: str, slot: Slot, model: str | None) -> Checked:
        """The slot's file, checked. `model` is its id at Numerai, where the account is known. InputError: refused."""
        predicted = self._required(slot.run)
        checks.check_origin(predicted, self.live, self.client.is_real)
        prediction, content = predicted.name(slot.prediction), predicted.content(slot.prediction)
        candidate = Candidate(
            str(predicted.folder / predicted.manifest["predictions"][prediction]["file"]),
            frame_of(content, str(predicted.folder)),
            self.live,
        )
        lines = checks.check_file(candidate)
        facts: dict[str, Any] = {}
        if self.live.round.tournament == SIGNALS:
            found = checks.coverage(candidate)
            facts["coverage"] = round(found, 6)
            lines += checks.check_coverage(candidate, self._coverages(name), self.settings.coverage)
            content, more = self._signal(name, candidate, content, model)
            lines += more
        more, apart = self._compared(candidate, predicted, slot)
        lines += more
        if apart:
            facts["apart"] = apart
        return Checked(content, f"{slot.run}/{prediction}", facts, tuple(f"  {line}" for line in lines))

    def _required(self, run: str) -> Predicted:
        """What a run has predicted for the round's live rows. InputError where there is nothing that fits."""
        predicted = self.predicted(run)
        if predicted is not None:
            return predicted
        found, odd = all_predicted(self.runs / run)
        if odd:
            raise odd[-1]
        # Of the same ids of Classic in another file: without --force they would be left as they are.
        is_near = self.live.round.tournament == CLASSIC and any(self.live.ids_hash == one.ids for one in found)
        raise InputError(
            f"run {run} has no predictions for the live rows of {self.live.round}; "
            f"say jobs/predict.py --run {run}{' --force' if is_near else ''}."
        )

    def _compared(self, candidate: Candidate, predicted: Predicted, slot: Slot) -> tuple[list[str], list[str]]:
        """Rank correlations with others on the same rows, and the benchmarks that it is unlike."""
        others, bands = dict(self.live.others), dict(predicted.bands(slot.prediction))
        absent = []
        if slot.predecessor is not None:
            try:
                values, band = self._before(slot.predecessor, slot.run, predicted.name(slot.prediction))
                others[PREDECESSOR], bands[PREDECESSOR] = values, band
            except (InputError, OSError, LookupError, ValueError) as error:  # it is only compared
                absent = [f"predecessor {slot.predecessor} not compared: {first_line(error)}"]
        # Of many bands of 98 % a good file leaves one now and then: benchmarks refuse only where that is asked for.
        benchmarks = [name for name in others if name.startswith(BENCHMARK) and name not in self.settings.bands]
        facts, apart = checks.check_bands(candidate, others, {**bands, **self.settings.bands}, benchmarks)
        return [*facts, *absent], apart

    def _before(self, run: str, mine: str, model: str) -> tuple[pd.Series[float], tuple[float, float] | None]:
        """What a predecessor says of these rows, and the band that it and `model` of the run `mine` have shown."""
        before = self.predicted(run)
        if before is None:
            raise InputError("it has not predicted these rows")
        values = Candidate("", before.frame(None), self.live).values
        if PREDECESSOR in self.settings.bands:
            return values, None  # that of the settings is taken
        return values, predecessor.band(self.runs / mine, model, self.runs / run, before.name(None))

    def _coverages(self, name: str) -> list[float]:
        """Of the slot's last effective submissions of earlier rounds."""
        return [float(line["coverage"]) for line in self._effective(name)][-smoothing.COMPARED :]

    def _effective(self, name: str) -> list[Mapping[str, Any]]:
        """The last line of each earlier round in which the slot had an effective submission, in their order."""
        lines = self.ledger.of(SIGNALS, name)
        found = {line["round"]: line for line in lines if line["event"] == Event.EFFECTIVE and "coverage" in line}
        return [found[number] for number in sorted(found) if number < self.live.round.number]

    def _signal(self, name: str, candidate: Candidate, content: bytes, model: str | None) -> tuple[bytes, list[str]]:
        """The bytes that are sent, mixed with the last signal where that is asked for, and how far they have moved."""
        lines, frame = [], candidate.frame
        if self.settings.smooth > 0:
            last = self._last(name, model)
            if last is None:
                lines.append("nothing to smooth with: no earlier round has an effective signal of these names")
            else:
                frame = smoothing.mixed(frame, last, self.settings.smooth, self.live.universe)
                content = frame.to_csv(index=False).encode()
                checks.check_file(Candidate(f"the mix of {candidate.name}", frame, self.live))
                lines.append(f"mixed with {self.settings.smooth:.0%} of the last effective signal")
        try:
            if earlier := self._earlier(name):
                found = smoothing.change(frame, self.live, earlier)
                lines.append(found.line(self.settings.churn_limit, self.settings.turnover_limit))
        except Exception as error:  # estimates of another's library, over old files: they stop nothing
            lines.append(f"churn and turnover not estimated: {first_line(error)}")
        return content, lines

    def _last(self, name: str, model: str | None) -> pd.DataFrame | None:
        """The last effective signal of an earlier round: as the server holds it, or without a key as the books do."""
        if model is not None:
            submissions = [one for one in self.client.submissions(model) if (one.round or 0) < self.live.round.number]
            numbers = [one.round for one in submissions if one.round is not None and one.is_valid]
            newest = effective(submissions, max(numbers)) if numbers else None
            content = self.client.content(newest.id) if newest else None
        else:
            lines = self._effective(name)
            copy = self.ledger.keeps(lines[-1]["sha256"]) if lines else None
            content = copy.read_bytes() if copy else None
        return self._signal_of(content) if content else None

    def _signal_of(self, content: bytes) -> pd.DataFrame | None:
        """The signal in a file, whoever has sent it; None where it is none over names of the live universe."""
        try:
            frame = frame_of(content, "the last effective signal")
        except InputError:
            return None
        is_signal = len(frame.columns) == 2 and frame.columns[0] in self.live.universe.columns
        return frame if is_signal and pd.api.types.is_numeric_dtype(frame.iloc[:, 1]) else None

    def _earlier(self, name: str) -> list[tuple[pd.DataFrame, LiveFiles]]:
        """The last effective signals whose own live files are still there."""
        found = []
        for line in self._effective(name)[-smoothing.COMPARED :]:
            folder = self.live.folder.with_name(f"{SIGNALS}-{line['round']}")
            copy = self.ledger.keeps(line["sha256"])
            if copy is not None and (folder / LIVE).exists():
                past = _past(self.live.round, int(line["round"]))
                found.append((frame_of(copy.read_bytes(), str(copy)), LiveFiles(past, self.live.version, folder)))
        return found


def _past(current: Round, number: int) -> Round:
    """An earlier round, of which only the number is asked for."""
    return Round(current.tournament, number, current.opens, current.closes, None, ())
