"""Whether a round's rows may be predicted from: broken ones are blocked, drifted ones are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from eraflow.monitoring.drift import CORRELATION, LEVEL, MISSING, NORMAL, SELDOM, SPREAD, Reference, drifted, lacking
from eraflow.monitoring.profile import Profile, places
from eraflow.monitoring.status import Status, together

EXAMPLES = 3
LEAST_FAMILY = 3  # features of a family that can be lost together
OTHER = 0.5  # usual deviations by which a mean level, or its logarithm by which a spread, is another coding
TURNED = 3.0  # times what is usually off the pattern of correlations

Mask = npt.NDArray[np.bool_]


def status_of_rows(reference: Reference, live: Profile, rate: float, fewest: float, broken_share: float) -> Status:
    """`block` where rows are broken, `warn` where features have drifted, else `ok`.

    Broken is: fewer rows than `fewest` of the fewest of the newest reference eras; at least `broken_share` of all
    features, or a whole family, lost, stuck at one value, or of another coding, that seldom are; half of the
    correlations turned.
    """
    reasons = [
        *_too_few(reference, live, fewest),
        *_broken(reference, live, broken_share),
        *_turned(reference, live),
    ]
    moved = drifted(reference, live, rate)
    found = [Status("block", (reason,)) for reason in reasons]
    if len(moved):
        found.append(Status("warn", (_drift(moved, len(reference.names)),)))
    return together(found)


def _too_few(reference: Reference, live: Profile, fewest: float) -> list[str]:
    least = reference.newest_rows
    if live.rows >= fewest * least:
        return []
    return [
        f"there are {live.rows:,} rows, and none of the newest reference eras had fewer than {least:,}: part of the "
        "universe is missing"
    ]


def _broken(reference: Reference, live: Profile, broken_share: float) -> list[str]:
    """What so many features, or a whole family of them, have in common."""
    usual = reference.usual
    lost = lacking(live, usual[MISSING]) & (reference.lost <= SELDOM)
    with np.errstate(divide="ignore", invalid="ignore"):
        is_constant = live.spread == 0
        stuck = is_constant & (reference.constant <= SELDOM) & ~lost
        shift = np.abs(live.level - usual[LEVEL].mean) / usual[SPREAD].mean
        ratio = np.abs(np.log(live.spread / usual[SPREAD].mean))
        coded = ~is_constant & ~lost & ((shift > OTHER) | (ratio > OTHER))
    # A feature that moves so far by itself, as some of a few rows do, tells nothing of the version.
    coded &= shift + ratio > 8 * (usual[LEVEL].deviation + usual[SPREAD].deviation) / usual[SPREAD].mean
    faults = ((lost, "are missing"), (stuck, "have one value in all rows"), (coded, "have levels of another coding"))
    found: list[str] = []
    for mask, words in faults:
        found += _said(reference, mask, broken_share, words)
    return found


def _said(reference: Reference, mask: Mask, broken_share: float, words: str) -> list[str]:
    names = [name for name, is_so in zip(reference.names, mask, strict=True) if is_so]
    if not names:
        return []
    whole = _whole(reference.families, set(names))
    if len(names) < broken_share * len(reference.names) and not whole:
        return []
    group = f", all of {whole[0]} among them" if whole else ""
    return [f"{len(names):,} of {len(reference.names):,} features {words}{group}: {_examples(names)}"]


def _whole(families: Mapping[str, Sequence[str]], names: set[str]) -> list[str]:
    """The families whose features are all among these."""
    return [family for family, inside in families.items() if len(inside) >= LEAST_FAMILY and names.issuperset(inside)]


def _turned(reference: Reference, live: Profile) -> list[str]:
    if len(places(len(reference.names))) < LEAST_FAMILY:
        return []
    share = float((reference.values(live)[CORRELATION] > TURNED**NORMAL * reference.usual[CORRELATION].mean).mean())
    if share < 0.5:
        return []
    return [f"{share:.0%} of the features go together with others otherwise than in any reference era"]


def _drift(moved: pd.DataFrame, features: int) -> str:
    names = moved["feature"].nunique()
    first = [_one(row) for row in moved.drop_duplicates("feature").head(EXAMPLES).to_dict(orient="records")]
    others = f" and {names - len(first)} more" if names > len(first) else ""
    return f"{names:,} of {features:,} features have drifted: {'; '.join(first)}{others}"


def _one(row: Mapping[object, object]) -> str:
    value, low, high = (float(str(row[key])) for key in ("value", "low", "high"))
    if row["statistic"] == MISSING:
        return f"{row['feature']} is missing in {value:.1%} of the rows (usual up to {max(high, 0.0):.1%})"
    words = {
        LEVEL: "has a mean level of",
        SPREAD: "has a spread of",
        CORRELATION: "goes with other features otherwise by",
    }
    return f"{row['feature']} {words[str(row['statistic'])]} {value:.3g} (usual {low:.3g} to {high:.3g})"


def _examples(names: Sequence[str]) -> str:
    more = f" and {len(names) - EXAMPLES:,} more" if len(names) > EXAMPLES else ""
    return ", ".join(names[:EXAMPLES]) + more
