"""Which of two recipes is better, by what both have scored on the same out-of-fold eras; no files and no Spark.

A gain of 0.002 at a paired deviation of 0.01 needs about 780 eras of labels that overlap in four: the few rounds that a
new model has played cannot tell it from the old one. So recipes are compared, over all eras that both have validated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from eraflow.errors import InputError
from eraflow.scoring.intervals import mean_interval

FIRST_LOOK, LATER_LOOKS = 0.5, 0.25  # of the error that is allowed
POWER = 0.8  # with which `eras_needed` would show a gain


class Verdict(StrEnum):
    """What the interval of a challenger's paired gain says of it."""

    BETTER = "better"
    WORSE = "worse"
    ALIKE = "not told apart"
    UNKNOWN = "too few eras"


@dataclass(frozen=True)
class Paired:
    """A challenger's scores less the champion's, over the eras that both have.

    `low` and `high` are None where there are too few eras for an interval, or where the scores are equal throughout.
    """

    eras: int
    overlap: int
    confidence: float
    mean: float
    deviation: float
    low: float | None
    high: float | None
    least: int = 0  # eras that a comparison takes

    @property
    def verdict(self) -> Verdict:
        """An equal recipe counts as better in (1 - confidence) / 2 of all such comparisons, as the interval covers."""
        if self.low is None or self.high is None:
            return Verdict.ALIKE if self.eras and self.mean == self.deviation == 0 else Verdict.UNKNOWN
        if self.low > 0:
            return Verdict.BETTER
        return Verdict.WORSE if self.high < 0 else Verdict.ALIKE

    def said(self, challenger: str, champion: str, metric: str) -> str:
        """The comparison in a sentence."""
        what = f"{challenger} less {champion}: {metric} {self.mean:+.4f}" if self.eras else f"{challenger}"
        if self.verdict is Verdict.UNKNOWN and self.eras < self.least:
            return f"{what} over {self.eras} eras; to be compared takes {self.least}"
        if self.verdict is Verdict.UNKNOWN:
            return f"{what} over {self.eras} eras, too few for an interval with labels over {self.overlap}"
        if self.low is None:
            return f"{what} over {self.eras} eras: the same predictions"
        said = f"{what} ({self.low:+.4f} to {self.high:+.4f}) over {self.eras} eras: {self.verdict}"
        needed = eras_needed(self.mean, self.deviation, self.overlap, self.confidence)
        if self.verdict is Verdict.ALIKE and needed is not None:
            said += f"; to tell such a gain takes about {max(needed, self.eras):,} eras"
        return said

    def facts(self) -> dict[str, Any]:
        """Plain values, for a manifest."""
        return {**asdict(self), "verdict": str(self.verdict)}


def paired(
    champion: Mapping[int, float], challenger: Mapping[int, float], overlap: int, confidence: float, least: int = 0
) -> Paired:
    """The challenger's gain over the champion; both are scores by era, and NaN or missing eras are left out.

    The interval is `scoring.intervals.mean_interval`, which allows for labels that overlap. InputError where no era is
    common to both.
    """
    kept = evidence(champion, challenger)
    if not kept["eras"]:
        raise InputError("the two recipes have no scored era in common; validate both on the same eras.")
    return from_evidence(kept, overlap, confidence, least)


def paired_values(apart: npt.NDArray[np.float64], overlap: int, confidence: float, least: int = 0) -> Paired:
    """The same of differences, one an era, in order; of fewer than `least` there is no interval."""
    found = mean_interval(apart, overlap, confidence) if len(apart) >= least else None
    low, high = found or (None, None)
    return Paired(len(apart), overlap, confidence, float(apart.mean()), float(apart.std()), low, high, least)


def at_look(confidence: float, look: int) -> float:
    """The confidence of the n-th comparison of the same two recipes, so that all together keep the stated rate.

    Half of the error that is allowed at the first, a quarter at each further one. Most eras of one comparison are the
    next one's, too: looked at each half-year from 300 to 780 eras, an equal recipe was promoted at some time in 2.2 %
    of simulations, and in 8.5 % where each look had all of the error. Looks at each quarter made it 3.4 %, and looks
    from 48 eras on 6.3 %: therefore `retrain.compare_every` and `retrain.compare_from`.
    """
    return 1 - (1 - confidence) * (FIRST_LOOK if look == 1 else LATER_LOOKS)


def eras_needed(gain: float, deviation: float, overlap: int, confidence: float, power: float = POWER) -> int | None:
    """Eras in which a gain of this size would be told from nothing with so much power; None where it is no gain.

    (q(confidence) + q(power))^2 (deviation / gain)^2 overlap, q the normal quantiles: as if labels that overlap told
    the same, so that it is rather too many than too few.
    """
    if gain <= 0 or deviation <= 0:
        return None
    quantiles = stats.norm.ppf((1 + confidence) / 2) + stats.norm.ppf(power)
    return ceil((quantiles * deviation / gain) ** 2 * overlap)


class Ruling(StrEnum):
    """What a decision did to the champion."""

    INSTALL = "install"  # somebody named it
    REFIT = "refit"  # the same recipe, on newer data
    PROMOTE = "promote"  # another recipe, which is better
    KEEP = "keep"
    ROLL_BACK = "roll back"


@dataclass(frozen=True)
class Verdicts:
    """What a decision rests on: the challenger and the refit against the champion's recipe; None where there is none.

    The challenger is compared with the refit, where there is one: both have learned from the same data.
    """

    refit: Paired | None
    challenger: Paired | None


def decided(found: Verdicts) -> tuple[Ruling, str]:
    """What becomes of the champion, and why.

    A challenger takes over only where it is better by its interval. Else the refit does, since newer data are no
    reason for doubt, unless it scores worse on the very eras that the champion was validated on: data have changed.
    """
    if found.challenger is not None and found.challenger.verdict is Verdict.BETTER:
        return Ruling.PROMOTE, "the challenger's recipe is better by its interval"
    stays = "" if found.challenger is None else f"; the challenger's recipe is {_not_better(found.challenger)}"
    if found.refit is None:
        return Ruling.KEEP, f"there are no newer data to refit the champion's recipe on{stays}"
    if found.refit.verdict is Verdict.WORSE:
        return Ruling.KEEP, f"refitted, the champion's recipe is worse on the same eras: its data have changed{stays}"
    return Ruling.REFIT, f"the champion's recipe takes over, refitted on newer data{stays}"


def _not_better(found: Paired) -> str:
    words = {Verdict.WORSE: "worse", Verdict.ALIKE: "not told from it", Verdict.UNKNOWN: "not known: too few eras"}
    return words[found.verdict]


def evidence(champion: Mapping[int, float], challenger: Mapping[int, float]) -> dict[str, Sequence[float | int]]:
    """The paired scores as a manifest keeps them, so that the comparison can be made again from it."""
    both = [era for era in sorted(champion.keys() & challenger.keys()) if np.isfinite(champion[era] + challenger[era])]
    return {
        "eras": both,
        "champion": [float(champion[era]) for era in both],
        "challenger": [float(challenger[era]) for era in both],
    }


def from_evidence(kept: Mapping[str, Any], overlap: int, confidence: float, least: int = 0) -> Paired:
    """The comparison of what `evidence` has kept."""
    apart = np.array(kept["challenger"], dtype=np.float64) - np.array(kept["champion"], dtype=np.float64)
    return paired_values(apart, overlap, confidence, least)
