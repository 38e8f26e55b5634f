"""Shapley values of any function of rows by sampling, each with its standard error.

A walk goes from a row of the background to the row that is explained, player by player in a random order; what a player
changes on its way is a draw of its value (Castro, Gómez & Tejada 2009). Each order is walked from its other end, too,
which takes away what is linear in the order (Mitchell, Cooper, Frank & Holmes 2022).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int8]
Matrix = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]
Function = Callable[[Rows], Matrix]  # rows -> a value for each

AT_ONCE = 8_000_000  # bytes of rows that a function is given together


@dataclass(frozen=True)
class Walks:
    """So many pairs of walks from rows of `background`, at which the function is `base` on average.

    `player` of each column: columns of one player change together. Where `together`, the rows are one whole: a player's
    columns change in all rows at once, each row from a background row of its own, and the function sees them all.
    """

    background: Rows
    base: float
    player: Places
    pairs: int
    together: bool = False

    def values(self, function: Function, rows: Rows) -> tuple[Matrix, Matrix]:
        """Rows x players: the values, which add up to function less base exactly, and the standard error of each.

        What the sum of a pair lacks is laid on the players by the variances of their draws: where they vary alike
        that is the estimate of least squares under the known sum. Rows draw by a hash of their levels, so that the same
        rows get the same values.
        """
        draw = np.random.default_rng(zlib.crc32(np.ascontiguousarray(rows).tobytes()))
        width = int(self.player.max(initial=-1)) + 1
        found = np.empty((self.pairs, len(rows), width))
        for pair in range(self.pairs):
            start = self.background[draw.integers(0, len(self.background), len(rows))]
            order = np.tile(np.arange(width), (1 if self.together else len(rows), 1))
            order = draw.permuted(order, axis=1)
            forth, back = (self._walked(function, start, rows, one) for one in (order, order[:, ::-1]))
            found[pair] = (forth + back) / 2
        lacking = (function(rows) - self.base) - found.sum(axis=2)
        found += _shares(found) * lacking[:, :, None]
        return found.mean(axis=0), found.std(axis=0, ddof=1) / np.sqrt(self.pairs)

    def _walked(self, function: Function, start: Rows, end: Rows, order: Places) -> Matrix:
        """What each player changes as the rows go from start to end, in the order of their own."""
        rank = np.argsort(order, axis=1)  # of each player: how many go before it
        steps = rank.shape[1] + 1
        if self.together:
            turn = rank[:, self.player]
            reached = np.stack([function(np.where(turn < step, end, start)) for step in range(steps)], axis=1)
            return np.take_along_axis(np.diff(reached, axis=1), np.broadcast_to(rank, (len(end), steps - 1)), axis=1)
        out, at_once = np.empty(rank.shape), max(1, AT_ONCE // (steps * max(1, end.shape[1])))
        for begin in range(0, len(end), at_once):
            part = slice(begin, begin + at_once)
            turn = rank[part][:, None, self.player]
            path = np.where(turn < np.arange(steps)[None, :, None], end[part][:, None], start[part][:, None])
            reached = function(path.reshape(-1, end.shape[1])).reshape(len(path), steps)
            out[part] = np.take_along_axis(np.diff(reached, axis=1), rank[part], axis=1)
        return out


def _shares(found: Matrix) -> Matrix:
    """Rows x players: how what a sum lacks is shared; where no draws vary, by how large the values are."""
    weights = found.var(axis=0)
    total = weights.sum(axis=1, keepdims=True)
    weights = np.where(total > 0, weights, np.abs(found).sum(axis=0))
    total = weights.sum(axis=1, keepdims=True)
    return np.asarray(np.where(total > 0, weights / np.where(total > 0, total, 1.0), 1.0 / found.shape[2]))
