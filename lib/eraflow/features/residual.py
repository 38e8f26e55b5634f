"""The residual family: returns against the market and the sector over a year, and what is left of their momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from eraflow.features.feature import MARKET, SECTOR, Feature, Output, total_return, unscaled
from eraflow.features.series import FLAT, Rolling, Series, Statistic, sqrt, where

Group = Literal["market", "sector"]
MONTH = 21  # bars in one part of the window


def group_return(group: Group) -> Series:
    """The mean daily return of the ticker's market or sector."""
    return MARKET if group == "market" else SECTOR


@dataclass(frozen=True)
class Joint:
    """Moments of two series over the same window, divisors the number of bars."""

    mean: Series
    mean_of_other: Series
    variance: Series
    variance_of_other: Series
    covariance: Series

    @property
    def slope(self) -> Series:
        """By least squares, of the first series on the other; null where the other is flat."""
        return where(self.variance_of_other >= FLAT * FLAT, self.covariance / self.variance_of_other)


def against(group: Group, skipped: int, months: int) -> Joint:
    """Moments of daily returns and their group's over so many months, the newest `skipped` months left out."""
    returns, other = total_return(1), group_return(group)

    def over(x: Series, statistic: Statistic, y: Series | None = None) -> Series:
        return Rolling(x, months * MONTH, statistic, y, form="months").lag(skipped * MONTH)

    return Joint(
        over(returns, "mean"),
        over(other, "mean"),
        over(returns, "variance"),
        over(other, "variance"),
        over(returns, "covariance", other),
    )


@dataclass(frozen=True)
class RollingBeta(Feature):
    """The slope of daily returns on the group's mean return, by least squares over a window of whole months."""

    group: Group
    months: int = 12
    family: ClassVar[str] = "residual"

    @property
    def meaning(self) -> str:
        return f"Beta of daily returns to the {self.group}'s mean return over {self.months * MONTH} bars"

    def outputs(self) -> dict[str, Output]:
        return unscaled(**{f"{self.group}_beta_{self.months * MONTH}": against(self.group, 0, self.months).slope})


@dataclass(frozen=True)
class ResidualMomentum(Feature):
    """Momentum of what the group does not explain, after Blitz, Huij and Martens (2011).

    Daily returns less beta times the group's, beta over all the months; their sum over all months but the newest, in
    units of their own deviation (divisor n). No intercept is taken out: over one and the same window the rest would sum
    to zero. Null where nothing is left of the returns.
    """

    group: Group
    months: int = 12
    family: ClassVar[str] = "residual"

    @property
    def meaning(self) -> str:
        return (
            f"Return not explained by the {self.group} from {self.months * MONTH} to {MONTH} bars ago, "
            "over its own deviation"
        )

    def outputs(self) -> dict[str, Output]:
        beta = against(self.group, 0, self.months).slope
        held = against(self.group, 1, self.months - 1)
        mean = held.mean - beta * held.mean_of_other
        variance = held.variance - 2.0 * beta * held.covariance + beta * beta * held.variance_of_other
        # A difference of what can be much larger: below its rounding there is no residual.
        left = where(variance >= 1e-12 * held.variance, where(variance >= FLAT * FLAT, variance))
        total = mean * float((self.months - 1) * MONTH)
        return unscaled(**{f"residual_momentum_{self.group}_{self.months * MONTH}": total / sqrt(left)})


RESIDUAL: tuple[Feature, ...] = (
    RollingBeta("market"),
    RollingBeta("sector"),
    ResidualMomentum("market"),
    ResidualMomentum("sector"),
)
