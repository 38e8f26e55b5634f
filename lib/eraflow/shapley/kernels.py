"""Native loops over the leaves of trees: the Shapley values of each row, and of pairs of features.

A leaf is a product: of its value, and of a factor for each feature on its path that is 1 or 0 where the feature is
known (whether the row's level goes that way), and where it is not the share of training rows that went that way. The
Shapley value of feature k in such a product is, with z the factors of known features and r those of unknown ones,

    value (z_k - r_k) ∫ Π_{l≠k} (z_l t + r_l (1 - t)) dt, t from 0 to 1,

since the weight of a coalition of s among d features, s! (d - 1 - s)! / d!, is the integral of t^s (1 - t)^(d-1-s).
Gauss and Legendre's rule is exact for it by half as many nodes as there are features (Yu et al. 2022, Linear TreeShap,
have the same polynomial). A row meets a leaf in one of 2^d patterns z, so that of many rows each pattern is worked out
once (Yang 2021, Fast TreeSHAP). Sums over leaves are path-dependent TreeSHAP (Lundberg et al. 2020), to rounding.

`codes`: features x rows, 0 for an unknown level and one more than the level for others. Leaf l has the entries
`begins[l]` to `begins[l + 1]` of `feature`, `allowed` (a bit for each code that goes its way) and `ratio` (r). Row n of
`nodes` and `weights` is the rule of n points.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from eraflow.features.kernels.compiled import kernel

Array = npt.NDArray[Any]
Matrix = npt.NDArray[np.float64]


@kernel
def leaf_values(
    pattern: int, ratio: Array, value: float, nodes: Matrix, weights: Matrix, before: Array, out: Array
) -> None:
    """Puts the Shapley value of each feature on the path of one leaf into `out`; bit k of the pattern is z_k.

    `before` is room for as many values. A product without one factor is that of the factors before it times that of
    those behind, so that nothing is divided.
    """
    depth = len(ratio)
    points = (depth + 1) // 2
    out[:depth] = 0.0
    for point in range(points):
        t, product = nodes[points, point], weights[points, point] * value
        for k in range(depth):
            before[k] = product
            product *= (1 - t) * ratio[k] + t * ((pattern >> k) & 1)
        product = 1.0
        for back in range(depth):
            k = depth - 1 - back
            z = (pattern >> k) & 1
            out[k] += (z - ratio[k]) * before[k] * product
            product *= (1 - t) * ratio[k] + t * z


@kernel
def add_shapley(
    codes: Array, begins: Array, feature: Array, allowed: Array, ratio: Array, value: Array, nodes: Matrix,
    weights: Matrix, out: Matrix,
) -> None:  # fmt: skip
    """Adds the Shapley values of all leaves to `out`, features x rows."""
    rows = codes.shape[1]
    pattern, before, found = np.empty(rows, dtype=np.int64), np.empty(64), np.empty(64)
    table = np.empty((64, rows))
    for leaf in range(len(value)):
        low, depth = begins[leaf], begins[leaf + 1] - begins[leaf]
        shares = ratio[low : low + depth]
        pattern[:] = 0
        for k in range(depth):
            way, place = allowed[low + k], feature[low + k]
            for row in range(rows):
                pattern[row] |= ((way >> codes[place, row]) & 1) << k
        if 1 << depth <= rows:
            for one in range(1 << depth):
                leaf_values(one, shares, value[leaf], nodes, weights, before, found)
                table[:depth, one] = found[:depth]
            for k in range(depth):
                place = feature[low + k]
                for row in range(rows):
                    out[place, row] += table[k, pattern[row]]
        else:
            for row in range(rows):
                leaf_values(pattern[row], shares, value[leaf], nodes, weights, before, found)
                for k in range(depth):
                    out[feature[low + k], row] += found[k]


@kernel
def add_interactions(
    codes: Array, begins: Array, feature: Array, allowed: Array, ratio: Array, value: Array, place: Array,
    nodes: Matrix, weights: Matrix, out: Array,
) -> None:  # fmt: skip
    """Adds to `out`, rows x chosen x chosen, the SHAP interaction values of pairs of chosen features.

    `place` of a feature is its number among the chosen, -1 of others. Both halves of a pair's effect get half of it:
    value (z_i - r_i) (z_j - r_j) / 2 times the integral of the other factors.
    """
    z = np.empty(64)
    for row in range(codes.shape[1]):
        for leaf in range(len(value)):
            low, depth = begins[leaf], begins[leaf + 1] - begins[leaf]
            chosen = 0
            for k in range(depth):
                z[k] = (allowed[low + k] >> codes[feature[low + k], row]) & 1
                chosen += place[feature[low + k]] >= 0
            if chosen < 2:
                continue
            points = depth // 2
            for one in range(depth):
                first = place[feature[low + one]]
                if first < 0:
                    continue
                for two in range(one):
                    second = place[feature[low + two]]
                    if second < 0:
                        continue
                    total = 0.0
                    for point in range(points):
                        t, product = nodes[points, point], weights[points, point]
                        for k in range(depth):
                            if k not in (one, two):
                                product *= (1 - t) * ratio[low + k] + t * z[k]
                        total += product
                    apart = (z[one] - ratio[low + one]) * (z[two] - ratio[low + two])
                    out[row, first, second] += 0.5 * value[leaf] * apart * total
                    out[row, second, first] += 0.5 * value[leaf] * apart * total
