"""Features that are looked at together: families that the table names, and clusters of those that go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from eraflow.models.levels import Levels, centred

ALIKE = 0.7  # mean absolute correlation of levels within a cluster
GRAPH = "feature graph"  # the family of the columns that a graph over features has added


def clusters(levels: Levels, names: Sequence[str], missing: int, alike: float = ALIKE) -> dict[str, tuple[str, ...]]:
    """Groups of at least two features by the absolute correlations of their levels, joined by their mean.

    A cluster is named by the feature that goes with its others most, and how many more there are.
    """
    varied = np.flatnonzero(levels.std(axis=0) > 0)
    if len(varied) < 2:
        return {}
    near = np.abs(np.corrcoef(centred(levels[:, varied], missing).astype(np.float64), rowvar=False))
    apart = np.clip(1.0 - (near + near.T) / 2, 0.0, 1.0)
    np.fill_diagonal(apart, 0.0)
    number = fcluster(linkage(squareform(apart, checks=False), "average"), 1.0 - alike, "distance")
    found = {}
    for members in (np.flatnonzero(number == one) for one in np.unique(number)):
        if len(members) > 1:
            first = members[np.argmax(near[np.ix_(members, members)].sum(axis=1).round(9))]  # of equals the first
            held = tuple(names[varied[place]] for place in members)
            found[f"{names[varied[first]]} + {len(members) - 1}"] = held
    return found


def with_others(
    families: Mapping[str, Sequence[str]], names: Sequence[str], inputs: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """The families as far as they are among these names; what is no input came from a graph over features."""
    present, given = set(names), set(inputs)
    found = {family: tuple(name for name in held if name in present) for family, held in families.items()}
    found[GRAPH] = tuple(name for name in names if name not in given)
    return {family: held for family, held in found.items() if held}
