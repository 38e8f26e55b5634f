"""The columns of raw prices, as every source gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from eraflow.packages import Source
from eraflow.ticker_rows import Step, TickerRows

PRICES = ("open", "high", "low", "close")
NUMBERS = (*PRICES, "adjusted_close", "volume")
NAMES = ("sector", "country", "currency")
# These, the file of the row, and the first of its values that could not be read as its type.
COLUMNS: Mapping[str, pa.DataType] = {
    "ticker": pa.string(), "date": pa.date32(), **dict.fromkeys(NUMBERS, pa.float64()),
    **dict.fromkeys(NAMES, pa.string()), "file": pa.string(),
    "unreadable": pa.struct([("column", pa.string()), ("value", pa.string())]),
}  # fmt: skip


@dataclass(frozen=True)
class RawPrices:
    """Rows of COLUMNS in any order, read when they are needed.

    `partitions`: in how many parts they are held. `steps` come first, over the rows of a ticker. `named` is what the
    files call a column.
    """

    source: Source
    partitions: int
    steps: tuple[Step, ...] = ()
    named: Mapping[str, str] = field(default_factory=dict)

    def by_ticker(self, *steps: Step) -> TickerRows:
        """The rows of each ticker, after these steps as well."""
        return TickerRows.of(self.partitions, self.source).then(*self.steps, *steps)


def complete(rows: pa.RecordBatch) -> tuple[pa.RecordBatch]:
    """A ticker's rows with all that they are judged by, and without what their total return was built from."""
    return (rows.select([*COLUMNS, "member", "rate", "fault"]),)
