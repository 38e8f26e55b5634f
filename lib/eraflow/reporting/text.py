"""Numbers, eras and intervals in words, the same everywhere on the page."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from eraflow.reporting.content import Dates, Metrics
from eraflow.scoring import MIN_EFFECTIVE_ERAS

NO_INTERVAL = f"no interval: fewer than {MIN_EFFECTIVE_ERAS} effective eras"
NO_VARIATION = "no interval: the eras do not vary"
MISSING = "n/a"
_LAST = "last_"

METRICS: Mapping[str, str] = {
    "numerai_corr": "Numerai's correlation with the target",
    "spearman": "correlation of ranks",
    "pearson": "linear correlation",
    "top_bottom_200_corr": "correlation within the 200 highest and 200 lowest",
    "hit_rate": "share of rows on the right side",
    "mmc": "contribution beyond the meta model",
    "cwmm": "correlation with the meta model",
    "churn": "change of ranks since the era before",
    "turnover": "share of the portfolio that changes",
    "neutral_corr": "correlation of what is left after neutralising",
    "neutral_contribution": "contribution of what is left after neutralising",
    "alpha": "return of what is left after neutralising",
    "payout": "estimated return on a stake, by assumed factors",
}
FAMILIES: Mapping[str, str] = {
    "bmc": "contribution beyond",
    "corr_with": "correlation with",
    "rank_corr_with": "rank correlation with",
    "fnc": "correlation after neutralising to",
    "max_exposure": "largest correlation with a feature of",
    "exposure_rms": "root mean square of correlations with",
}


def metric_words(metric: str) -> str:
    """What a metric is, in plain words; empty where it is not known here. `fnc_small` is `fnc` of `small`."""
    if metric in METRICS:
        return METRICS[metric]
    families = (family for family in FAMILIES if metric.startswith(f"{family}_"))
    return next((f"{FAMILIES[family]} {metric.removeprefix(f'{family}_')}" for family in families), "")


def number(value: Any, decimals: int = 4) -> str:
    """Fixed decimals with a true minus sign; n/a for None and what is not finite."""
    if not is_number(value):
        return MISSING
    shown = f"{value:.{decimals}f}"
    return f"\N{MINUS SIGN}{shown[1:]}" if shown.startswith("-") and float(shown) else shown.removeprefix("-")


def is_number(value: Any) -> bool:
    """Whether a value can be shown as a number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def share(value: Any) -> str:
    """A share of 1 as per cent."""
    return f"{number(100 * value, 1)} %" if is_number(value) else MISSING


def count_text(value: Any) -> str:
    """A whole number with thin groups of three; anything else as it is."""
    if value is None or pd.isna(value):
        return MISSING
    is_whole = not isinstance(value, str) and float(value).is_integer()
    return f"{int(value):,}".replace(",", "\N{NARROW NO-BREAK SPACE}") if is_whole else str(value)


def eras_text(count: int) -> str:
    """A number of eras in words."""
    return "1 era" if count == 1 else f"{count_text(count)} eras"


def era_text(era: int, dates: Dates) -> str:
    """An era, with its date where it is known."""
    return f"era {era} ({dates[era]:%Y-%m-%d})" if era in dates else f"era {era}"


def interval_text(stats: Metrics) -> str:
    """Low and high bound of the mean's interval; empty without one."""
    interval = stats.get("interval")
    if interval is None or not all(map(is_number, interval)):
        return ""
    return f"{number(interval[0])} to {number(interval[1])}"


def confidence(stats: Metrics) -> str:
    """What kind of interval it is."""
    level = stats.get("confidence")
    return "interval" if level is None else f"{100 * level:g} % interval"


def certainty(stats: Metrics) -> str:
    """The interval of a mean, or why there is none."""
    if interval := interval_text(stats):
        return f"{confidence(stats)} {interval}"
    effective = stats.get("effective_eras")
    return NO_VARIATION if effective is not None and effective >= MIN_EFFECTIVE_ERAS else NO_INTERVAL


def rests_on(stats: Metrics) -> str:
    """The eras that a score rests on, with those that could not be scored."""
    eras, effective, without = stats.get("eras"), stats.get("effective_eras"), stats.get("eras_without_value")
    shown = eras_text(eras or 0)
    shown += "" if effective is None else f", {number(effective, 1).removesuffix('.0')} effective"
    return f"{shown}, {count_text(without)} more without a value" if without else shown


def window_text(key: str) -> str:
    """`last_52` as words; empty where the key names no window."""
    eras = key.removeprefix(_LAST)
    return f"Last {eras}" if key.startswith(_LAST) and eras.isdigit() else ""
