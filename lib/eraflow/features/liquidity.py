"""The liquidity family, of raw prices and raw volumes: in money, which no split touches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from eraflow.features.feature import RAW_CLOSE, VOLUME, Feature, Output, total_return, unscaled
from eraflow.features.series import BAR, Rolling, absolute, log, rolling_moments, rolling_nanmean, where


@dataclass(frozen=True)
class Amihud(Feature):
    """Amihud's (2002) illiquidity: the mean of |return| over dollar volume, times 1e6.

    Over the days of the window that had volume; null where none had.
    """

    bars: int = 21
    family: ClassVar[str] = "liquidity"
    of_traded_money: ClassVar[bool] = True

    @property
    def meaning(self) -> str:
        return (
            f"Mean of absolute return over dollar volume of {self.bars} bars, times 1e6; days without volume left out"
        )

    def outputs(self) -> dict[str, Output]:
        impact = absolute(total_return(1)) / (RAW_CLOSE * VOLUME) * 1e6
        return unscaled(**{f"amihud_{self.bars}": where(self.bars <= BAR, rolling_nanmean(impact, self.bars))})


@dataclass(frozen=True)
class DollarVolume(Feature):
    """Logarithm of the mean dollar volume."""

    bars: int = 21
    family: ClassVar[str] = "liquidity"
    of_traded_money: ClassVar[bool] = True

    @property
    def meaning(self) -> str:
        return f"Log of 1 + mean dollar volume over {self.bars} bars"

    def outputs(self) -> dict[str, Output]:
        return unscaled(**{f"dollar_volume_{self.bars}": log(1.0 + Rolling(RAW_CLOSE * VOLUME, self.bars, "mean"))})


@dataclass(frozen=True)
class VolumeRatio(Feature):
    """Recent dollar volume over that of a longer window; null where the longer one had none."""

    short: int = 5
    long: int = 63
    family: ClassVar[str] = "liquidity"
    of_traded_money: ClassVar[bool] = True

    @property
    def meaning(self) -> str:
        return f"Mean dollar volume of {self.short} bars over that of {self.long}"

    def outputs(self) -> dict[str, Output]:
        traded = RAW_CLOSE * VOLUME
        ratio = Rolling(traded, self.short, "mean") / rolling_moments(traded, self.long).mean
        return unscaled(**{f"volume_ratio_{self.short}_{self.long}": ratio})


LIQUIDITY: tuple[Feature, ...] = (Amihud(), DollarVolume(), VolumeRatio())
