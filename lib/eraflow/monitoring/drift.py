"""Whether live rows still look like the eras that were validated, the false discovery rate over features controlled.

A share or mean of thousands of rows varies from era to era by more than rows alone would tell, so that each statistic
is held to how the reference eras vary: against their mean, by their deviation, with t quantiles. Where these eras have
longer tails than that, all are widened by as much.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from eraflow.errors import InputError
from eraflow.monitoring.profile import Profile, Values, off_pattern, places
from eraflow.whole_files import write_bytes

STATISTICS = MISSING, LEVEL, SPREAD, CORRELATION = "missing", "level", "spread", "correlation"
LEAST_ERAS = 20  # of a reference
LOST = 0.5  # share of rows by which a feature must be missing more than usual to count as lost
NEWEST = 20  # eras of a reference by which rows are counted: universes grow
SELDOM = 0.05  # share of the eras: what is seen oftener breaks nothing
NORMAL = 2 / 3  # power of a root mean square, by which it is nearly normal (Wilson & Hilferty 1931)
TAIL = 0.001  # of all eras and features, by which tails are measured
# What is smaller tells nothing, however many rows: a share, parts of a feature's usual deviation, a correlation.
LEAST_MOVE = {MISSING: 0.01, LEVEL: 0.05, SPREAD: 0.05, CORRELATION: 0.04}


@dataclass(frozen=True)
class Usual:
    """What the reference eras show of one statistic, by feature: mean, deviation, and by how much tails are widened."""

    mean: Values
    deviation: Values
    widened: float

    @classmethod
    def of(cls, values: Values, floor: Values) -> Usual:
        """Of eras x features; `floor` is the least deviation that a feature counts with. NaN is an era without it."""
        count = np.isfinite(values).sum(axis=0)
        total = np.where(np.isfinite(values), values, 0.0)
        mean = np.where(count > 0, total.sum(axis=0) / np.maximum(count, 1), np.nan)
        apart = np.where(np.isfinite(values), values - mean, 0.0)
        deviation = np.sqrt((apart**2).sum(axis=0) / np.maximum(count - 1, 1))
        return cls(mean, np.maximum(deviation, floor), _widened(apart, deviation, floor))

    def p_values(self, values: Values, eras: int, is_upper: bool) -> Values:
        """That an era like these is so far off: above, or on either side; 1 where a value or its mean is not known."""
        apart = (values - self.mean) / (self.deviation * np.sqrt(1 + 1 / eras) * self.widened)
        found = stats.t.sf(apart, eras - 1) if is_upper else 2 * stats.t.sf(np.abs(apart), eras - 1)
        return np.where(np.isfinite(apart), found, 1.0)


def _widened(apart: Values, deviation: Values, floor: Values) -> float:
    """The largest TAIL of the eras' own distances over what it would be if they were normal; at least 1."""
    eras = len(apart)
    varied = deviation > floor
    if not varied.any():
        return 1.0
    # Each era against the others: r sqrt((n - 2) / (n - 1 - r^2)) of its own deviation r has n - 2 degrees of freedom.
    standardised = np.abs(apart[:, varied] / deviation[varied]) * np.sqrt(eras / (eras - 1))
    student = standardised * np.sqrt((eras - 2) / np.maximum(eras - 1 - standardised**2, 1e-9))
    tail = max(TAIL, 5 / student.size)
    return float(max(1.0, np.quantile(student, 1 - tail) / stats.t.isf(tail / 2, eras - 2)))


@dataclass(frozen=True)
class Reference:
    """The eras that rows are held to."""

    names: tuple[str, ...]
    families: Mapping[str, tuple[str, ...]]
    eras: int
    rows: tuple[int, int]  # the fewest and the most of an era
    newest_rows: int  # the fewest of the newest eras
    constant: Values  # by feature the share of eras in which it has one value
    lost: Values  # by feature the share of eras in which it is missing in LOST more of the rows than usual
    usual: Mapping[str, Usual]  # by statistic
    together: npt.NDArray[np.float32]  # mean correlations

    @classmethod
    def of(cls, names: Sequence[str], families: Mapping[str, Sequence[str]], profiles: Iterable[Profile]) -> Reference:
        """Of the profiles of eras, the oldest first. InputError where these are fewer than twenty."""
        every = list(profiles)
        if len(every) < LEAST_ERAS:
            raise InputError(
                f"{len(every)} eras are too few to tell how rows vary: {LEAST_ERAS} are needed; train on more."
            )
        rows = [one.rows for one in every]
        values = {name: np.array([getattr(one, name) for one in every]) for name in (LEVEL, SPREAD)}
        values[MISSING] = np.array([rooted(one) for one in every])
        together: Values = np.asarray(np.mean([one.together for one in every], axis=0, dtype=np.float64))
        correlated, count = len(places(len(names))), len(every)
        # Against the mean of the other eras, as live rows are against that of all.
        far = [off_pattern(one.together, _without(together, one.together, count), correlated) for one in every]
        values[CORRELATION] = np.array(far) ** NORMAL
        floors = _floors(values, float(np.median(rows)))
        usual = {name: Usual.of(values[name], floors[name]) for name in STATISTICS}
        lost = np.mean([lacking(one, usual[MISSING]) for one in every], axis=0)
        held = {family: tuple(inside) for family, inside in families.items()}
        constant = (values[SPREAD] == 0).mean(axis=0)
        return cls(tuple(names), held, count, (min(rows), max(rows)), min(rows[-NEWEST:]), constant, lost, usual,
                   np.asarray(together, np.float32))  # fmt: skip

    def values(self, live: Profile) -> dict[str, Values]:
        """By statistic what live rows show: `rooted` shares; of correlations a power of what is off the usual."""
        if len(live.missing) != len(self.names) or len(live.together) != len(self.together):
            raise InputError(
                f"the rows have {len(live.missing)} features, and the reference {len(self.names)}; predict them again."
            )
        far = off_pattern(live.together, self.together, len(places(len(self.names))))
        more = max(0.0, 1 / live.rows - 1 / self.rows[0])  # the noise of correlations that so few rows add
        varied = self.usual[SPREAD].mean[places(len(self.names))] > 0  # what never did so has no correlations
        far = np.where(varied, np.maximum(far**2 - more, 0.0) ** (NORMAL / 2), np.nan)
        return {MISSING: rooted(live), LEVEL: live.level, SPREAD: live.spread, CORRELATION: far}

    def features(self, statistic: str) -> tuple[str, ...]:
        """The features of which there is the statistic."""
        if statistic != CORRELATION:
            return self.names
        return tuple(self.names[place] for place in places(len(self.names)))

    def write(self, file: Path) -> None:
        """Writes the reference whole or not at all."""
        inside = [name for held in self.families.values() for name in held]
        held: dict[str, Any] = {
            f"{name}_{part}": getattr(one, part)
            for name, one in self.usual.items() for part in ("mean", "deviation", "widened")
        }  # fmt: skip
        held |= {"names": self.names, "eras": self.eras, "rows": self.rows, "together": self.together,
                 "newest_rows": self.newest_rows, "constant": self.constant, "lost": self.lost,
                 "families": np.array(list(self.families), dtype=str), "inside": np.array(inside, dtype=str),
                 "sizes": np.array([len(one) for one in self.families.values()], dtype=int)}  # fmt: skip
        buffer = BytesIO()
        np.savez_compressed(buffer, **held)
        write_bytes(file, buffer.getvalue())


def read(file: Path) -> Reference | None:
    """The reference in a file; None where there is none, or an earlier one's that says less. InputError: it is none."""
    if not file.exists():
        return None
    try:
        with np.load(file) as held:
            if "names" in held and "newest_rows" not in held:
                return None
            usual = {
                name: Usual(held[f"{name}_mean"], held[f"{name}_deviation"], float(held[f"{name}_widened"]))
                for name in STATISTICS
            }
            inside, ends = [str(name) for name in held["inside"]], np.cumsum(held["sizes"])
            begins = ends - held["sizes"]
            families = {
                str(family): tuple(inside[begin:end])
                for family, begin, end in zip(held["families"], begins, ends, strict=True)
            }
            fewest, most = map(int, held["rows"])
            names = tuple(map(str, held["names"]))
            newest, constant, lost = int(held["newest_rows"]), held["constant"], held["lost"]
            return Reference(
                names, families, int(held["eras"]), (fewest, most), newest, constant, lost, usual, held["together"]
            )
    except (OSError, ValueError, KeyError, BadZipFile):
        raise InputError(f"{file} is no reference of eras; remove it, and jobs/monitor.py makes it anew.") from None


def rooted(one: Profile) -> Values:
    """Roots of missing shares: of a few rows a share is skewed, and its root is not (Anscombe 1948)."""
    return np.asarray(np.sqrt(one.missing + 0.375 / one.rows))


def shares(roots: Values, rows: float) -> Values:
    """The shares of which these are the roots."""
    return np.asarray(np.maximum(roots, 0.0) ** 2 - 0.375 / rows).clip(0.0, 1.0)


def lacking(one: Profile, usual: Usual) -> npt.NDArray[np.bool_]:
    """Which features are missing in so many more rows than usual that they are lost."""
    return np.asarray(one.missing > shares(usual.mean, one.rows) + LOST)


def drifted(reference: Reference, live: Profile, rate: float) -> pd.DataFrame:
    """`feature, statistic, value, usual, low, high, p, move`: what has moved, the least likely first.

    Of all features and statistics together, a share of `rate` of what is named is expected to be nothing (Benjamini &
    Hochberg 1995), so that rows without drift name something with probability `rate`. `low` and `high` hold 95 % of
    eras. `move` is in shares of rows (missing), in usual deviations of the feature (level, spread), or a root mean
    square of correlations.
    """
    shown = reference.values(live)
    parts = []
    for name, values in shown.items():
        usual = reference.usual[name]
        p = usual.p_values(values, reference.eras, is_upper=name in (MISSING, CORRELATION))
        wide = 1.96 * usual.deviation * usual.widened
        shown_as = {"value": values, "usual": usual.mean, "low": usual.mean - wide, "high": usual.mean + wide}
        if name == MISSING:
            shown_as = {key: shares(roots, live.rows) for key, roots in shown_as.items()}
        if name == CORRELATION:
            shown_as = {key: values.clip(0.0) ** (1 / NORMAL) for key, values in shown_as.items()}
        move = _move(reference, name, shown_as["value"] - shown_as["usual"])
        names = reference.features(name)
        parts.append(pd.DataFrame({"feature": names, "statistic": name, **shown_as, "p": p, "move": move}))
    every = pd.concat(parts, ignore_index=True)
    every["p"] = every["p"].where(every["move"].abs() >= every["statistic"].map(LEAST_MOVE), 1.0)
    found = every[discovered(every["p"].to_numpy(), rate)]
    return found.sort_values(["p", "feature", "statistic"], kind="stable", ignore_index=True)


def discovered(p: Values, rate: float) -> npt.NDArray[np.bool_]:
    """Which hypotheses Benjamini and Hochberg's rule rejects at this false discovery rate."""
    return np.asarray(stats.false_discovery_control(p) <= rate)


def _move(reference: Reference, statistic: str, apart: Values) -> Values:
    if statistic in (MISSING, CORRELATION):
        return apart
    deviation = reference.usual[SPREAD].mean
    return np.asarray(apart / np.where(deviation > 0, deviation, 1.0))


def _without(mean: Values, one: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.float32]:
    """The mean of all but one."""
    return np.asarray((mean * count - one) / (count - 1), dtype=np.float32)


def _floors(values: Mapping[str, Values], rows: float) -> dict[str, Values]:
    """Deviations that independent rows would give, of what in the reference may never have varied."""
    spread = np.nan_to_num(_means(values[SPREAD]))
    return {
        MISSING: np.full(values[MISSING].shape[1], 0.5 / np.sqrt(rows)),
        LEVEL: (spread + 1e-3) / np.sqrt(rows) / 4,
        SPREAD: (spread + 1e-3) / np.sqrt(rows) / 4,
        CORRELATION: np.full(values[CORRELATION].shape[1], 1e-3),
    }


def _means(values: Values) -> Values:
    observed = np.isfinite(values)
    return np.asarray(np.where(observed, values, 0.0).sum(axis=0) / np.maximum(observed.sum(axis=0), 1))
