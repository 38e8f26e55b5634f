"""What an era's rows look like, feature by feature: missing shares, levels, and what goes together."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from eraflow.errors import InputError
from eraflow.whole_files import write_bytes

PROFILE = "profile.npz"  # beside what was predicted of the rows
CORRELATED = 200  # features whose correlations with each other are kept, spread over all

Values = npt.NDArray[np.float64]
Levels = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Profile:
    """Of one era's rows.

    `missing`: share of rows in which a feature is unknown. `level` and `spread`: mean and deviation of what is known,
    NaN where nothing is. `together`: correlations of the features at `places(...)`, above the diagonal, row by row;
    0 of a feature that does not vary.
    """

    rows: int
    missing: Values
    level: Values
    spread: Values
    together: npt.NDArray[np.float32]

    def written(self) -> bytes:
        """The profile as bytes that `read` takes."""
        buffer = BytesIO()
        missing, level, spread = (values.astype(np.float32) for values in (self.missing, self.level, self.spread))
        np.savez_compressed(
            buffer, rows=np.array(self.rows), missing=missing, level=level, spread=spread, together=self.together
        )
        return buffer.getvalue()

    def write(self, folder: Path) -> None:
        """Writes `profile.npz` whole or not at all."""
        write_bytes(folder / PROFILE, self.written())


def read(folder: Path) -> Profile | None:
    """The profile in a round's folder; None where it was predicted without one. InputError where it is none."""
    file = folder / PROFILE
    if not file.exists():
        return None
    try:
        return of_bytes(file.read_bytes())
    except (OSError, ValueError, KeyError, BadZipFile):
        raise InputError(f"{file} is no profile of rows; predict the round again with --force.") from None


def of_bytes(content: bytes) -> Profile:
    """What `written` has made bytes of."""
    with np.load(BytesIO(content)) as held:
        missing, level, spread = (held[name].astype(np.float64) for name in ("missing", "level", "spread"))
        return Profile(int(held["rows"]), missing, level, spread, held["together"])


def places(features: int, most: int = CORRELATED) -> npt.NDArray[np.int64]:
    """The features whose correlations are kept: all, or `most` of them at equal distances."""
    return np.unique(np.linspace(0, features - 1, min(features, most)).round().astype(np.int64))


def profile(levels: Levels, missing: int) -> Profile:
    """Of levels, rows x features, in which `missing` stands for what is unknown. InputError without rows."""
    if not len(levels):
        raise InputError("there are no rows to look at; predict again.")
    observed = levels != missing
    count = observed.sum(axis=0)
    some = np.maximum(count, 1)
    total = np.where(observed, levels, np.int8(0)).sum(axis=0, dtype=np.int64)
    squares = np.einsum(
        "ij,ij->j", *(2 * [np.where(observed, levels, np.int8(0)).astype(np.float32)]), dtype=np.float64
    )
    level = total / some
    spread = np.sqrt(np.maximum(squares / some - level**2, 0.0))
    nothing = np.where(count > 0, 0.0, np.nan)
    chosen = places(levels.shape[1])
    apart = np.where(observed[:, chosen], levels[:, chosen] - level[chosen].astype(np.float32), np.float32(0.0))
    return Profile(
        len(levels), 1 - count / len(levels), level + nothing, spread + nothing, correlations(apart.astype(np.float32))
    )


def correlations(apart: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Of columns with mean 0, rows x columns, above the diagonal; 0 where a column does not vary."""
    length = np.sqrt((apart.astype(np.float64) ** 2).sum(axis=0))
    scaled = apart / np.where(length > 0, length, np.inf).astype(np.float32)
    matrix = scaled.T @ scaled
    return np.asarray(matrix[np.triu_indices(matrix.shape[0], 1)], dtype=np.float32)


def exposures(levels: Levels, missing: int, predictions: Values) -> Values:
    """By feature the correlation of its levels with the predictions of the rows; 0 where either does not vary."""
    observed = levels != missing
    held = np.where(observed, levels, np.int8(0)).astype(np.float32)
    level = held.sum(axis=0, dtype=np.float64) / np.maximum(observed.sum(axis=0), 1)
    apart = np.where(observed, held - level.astype(np.float32), np.float32(0.0))
    other = (predictions - predictions.mean()).astype(np.float32)
    length = np.sqrt(np.einsum("ij,ij->j", apart, apart, dtype=np.float64) * float(other.astype(np.float64) @ other))
    return np.asarray((other @ apart).astype(np.float64) / np.where(length > 0, length, np.inf))


def off_pattern(together: npt.NDArray[np.float32], usual: npt.NDArray[np.float32], features: int) -> Values:
    """By feature the root mean square of what its correlations with the others have beside the usual ones.

    The usual ones are taken off at the strength that they have in these rows: strength differs from era to era, and
    for some eras next to nothing of it is left. What goes together anew, or has turned, stays.
    """
    if features < 2:
        return np.zeros(features)
    one, other = (_square(values, features).astype(np.float64) for values in (together, usual))
    length = (other**2).sum(axis=1)
    strength = (one * other).sum(axis=1) / np.where(length > 0, length, np.inf)
    rest = one - np.maximum(strength, 0.0)[:, None] * other
    return np.asarray(np.sqrt((rest**2).sum(axis=1) / (features - 1)))


def _square(values: npt.NDArray[np.float32], features: int) -> npt.NDArray[np.float32]:
    found = np.zeros((features, features), dtype=np.float32)
    found[np.triu_indices(features, 1)] = values
    return found + found.T
