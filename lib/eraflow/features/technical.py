"""The technical family: indicators as TA-Lib computes them, missing values included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from eraflow.features.feature import CLOSE, HIGH, LOW, Feature, Output, over_price, unscaled
from eraflow.features.series import BAR, Rolling, ema, maximum, observed, where, wilder

NO_MOVE = 1e-14  # of the price, a move that counts as none; TA-Lib takes it of 1, whatever the price is


@dataclass(frozen=True)
class Rsi(Feature):
    """Wilder's relative strength index as TA-Lib computes it: 100 gain / (gain + loss), 0 where nothing ever moved."""

    bars: int = 14
    family: ClassVar[str] = "technical"

    @property
    def meaning(self) -> str:
        return f"Relative strength index over {self.bars} bars, 0 to 100"

    def outputs(self) -> dict[str, Output]:
        change = CLOSE - CLOSE.lag(1)
        gain = wilder(maximum(change, 0.0), self.bars, first=1)
        loss = wilder(maximum(-change, 0.0), self.bars, first=1)
        return unscaled(**{f"rsi_{self.bars}": where(gain + loss < NO_MOVE * CLOSE, 0.0, 100.0 * gain / (gain + loss))})


@dataclass(frozen=True)
class Macd(Feature):
    """MACD line, signal and histogram as TA-Lib computes them: both averages are seeded at the slow one's first bar."""

    fast: int = 12
    slow: int = 26
    signal: int = 9
    family: ClassVar[str] = "technical"

    @property
    def meaning(self) -> str:
        return f"MACD({self.fast}, {self.slow}, {self.signal}): line, signal, histogram; ranked over the price"

    def outputs(self) -> dict[str, Output]:
        full_line = ema(CLOSE, self.fast, first=self.slow - self.fast) - ema(CLOSE, self.slow)
        signal = ema(full_line, self.signal, first=self.slow - 1)
        line = where(observed(signal) >= 1.0, full_line)
        suffix = f"{self.fast}_{self.slow}_{self.signal}"
        return over_price(
            **{f"macd_{suffix}": line, f"macd_signal_{suffix}": signal, f"macd_hist_{suffix}": line - signal}
        )


@dataclass(frozen=True)
class Stochastic(Feature):
    """Slow stochastic oscillator as TA-Lib's STOCH with simple averages: %K smoothed, and %D, its average."""

    bars: int = 5
    slow_k: int = 3
    slow_d: int = 3
    family: ClassVar[str] = "technical"

    @property
    def meaning(self) -> str:
        return f"Stochastic({self.bars}, {self.slow_k}, {self.slow_d}): slow %K and %D, 0 to 100"

    def outputs(self) -> dict[str, Output]:
        lowest, highest = Rolling(LOW, self.bars, "min"), Rolling(HIGH, self.bars, "max")
        unit = (highest - lowest) / 100.0
        fast = where(unit < 0.0, (CLOSE - lowest) / unit, where(unit >= NO_MOVE * CLOSE, (CLOSE - lowest) / unit, 0.0))
        fast = where(self.bars - 1 <= BAR, fast)
        slow = Rolling(fast, self.slow_k, "mean", form="lags")
        slow_d = Rolling(slow, self.slow_d, "mean", form="lags")
        suffix = f"{self.bars}_{self.slow_k}_{self.slow_d}"
        slow_k = where(observed(slow_d) >= 1.0, slow)
        return unscaled(**{f"stoch_k_{suffix}": slow_k, f"stoch_d_{suffix}": slow_d})
