"""What a feature is: a small frozen object that says its names, what it is made of and what is ranked across tickers.

Prices are total-return prices (`open`, `high`, `low`, `close` scaled forward from a ticker's first day; see
`eraflow.sources.prices`), and `adjusted_volume` is the volume in their unit: times a price it is money that was traded.
`raw_close` is as traded, in the common currency, and `volume` as traded. To add a feature, add a class to the module of
its family, name it in `eraflow.features.sets` and hold it against an oracle.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from eraflow.features.series import Input, Series

OPEN, HIGH, LOW, CLOSE = Input("open"), Input("high"), Input("low"), Input("close")
RAW_CLOSE, VOLUME = Input("raw_close"), Input("volume")
ADJUSTED_VOLUME = Input("adjusted_volume")
MARKET = Input("market_return")  # the mean daily return of the universe's members in the ticker's country
SECTOR = Input("sector_return")  # the mean daily return of the members of the ticker's sector


@dataclass(frozen=True)
class Output:
    """One column of a feature: its raw series, and the series without a scale that is ranked across tickers."""

    raw: Series
    ranked: Series


class Feature(ABC):
    """What a feature declares. `family` is the array of the feature table that its columns stand in.

    `of_traded_money` says that it multiplies price by volume, which both have to be of one kind for.
    """

    family: ClassVar[str]
    of_traded_money: ClassVar[bool] = False

    @abstractmethod
    def outputs(self) -> dict[str, Output]:
        """Column name -> output, in the order in which they are stored."""

    @property
    @abstractmethod
    def meaning(self) -> str:
        """One line for the table in the documentation."""


def unscaled(**columns: Series) -> dict[str, Output]:
    """Outputs that are ranked as they are: they have no unit of price."""
    return {name: Output(column, column) for name, column in columns.items()}


def over_price(**columns: Series) -> dict[str, Output]:
    """Outputs in the unit of the price, ranked over the price."""
    return {name: Output(column, column / CLOSE) for name, column in columns.items()}


def total_return(bars: int) -> Series:
    """The return over the last `bars` bars, as a fraction."""
    return CLOSE / CLOSE.lag(bars) - 1.0
