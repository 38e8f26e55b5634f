"""Feature sets by name, as conf writes them, and what is read off them: columns, families, documentation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from eraflow.errors import InputError
from eraflow.features.alpha158 import ALPHA158
from eraflow.features.feature import Feature, Output
from eraflow.features.liquidity import LIQUIDITY
from eraflow.features.momentum import NormalisedMacd, VolScaledReturn
from eraflow.features.oscillators import OSCILLATORS
from eraflow.features.residual import RESIDUAL
from eraflow.features.risk import Beta, Momentum, Size, Volatility
from eraflow.features.technical import Macd, Rsi, Stochastic
from eraflow.features.trend import TREND
from eraflow.features.volatility import VOLATILITY

CLASSIC: tuple[Feature, ...] = (Rsi(14), Macd(12, 26, 9), Stochastic(5, 3, 3))
TECHNICAL = (*CLASSIC, *OSCILLATORS)
MOMENTUM: tuple[Feature, ...] = (
    *(VolScaledReturn(bars) for bars in (1, 21, 63, 126, 252)),
    *(NormalisedMacd(short, long) for short, long in ((8, 24), (16, 48), (32, 96))),
)
# A family stands in one row here: the columns of a set are in the order of its families.
SETS: Mapping[str, tuple[Feature, ...]] = {
    "main": (*CLASSIC, *MOMENTUM),
    "technical": TECHNICAL,
    "momentum": MOMENTUM,
    "volatility": VOLATILITY,
    "liquidity": LIQUIDITY,
    "trend": TREND,
    "residual": RESIDUAL,
    "alpha158": ALPHA158,
    "all": (*TECHNICAL, *MOMENTUM, *VOLATILITY, *LIQUIDITY, *TREND, *RESIDUAL, *ALPHA158),
}

# What targets can be neutralised to (conf: targets.exposures). They are stored beside the features, never ranked.
EXPOSURES: tuple[Feature, ...] = (Beta(), Size(), Volatility(), Momentum())


def feature_set(name: str, traded_money: bool = True) -> tuple[Feature, ...]:
    """The features of a set, without those of price times volume unless `traded_money`.

    InputError names the sets there are, or says that nothing is left of the set.
    """
    if name not in SETS:
        raise InputError(f"features.set: there is no feature set {name!r}; choose one of {', '.join(SETS)}.")
    chosen = tuple(feature for feature in SETS[name] if traded_money or not feature.of_traded_money)
    if not chosen:
        raise InputError(
            f"features.set: {name} holds features of price times volume only, which these prices are left out of; "
            "choose another set, or say features.traded_money=always."
        )
    return chosen


def of_traded_money(features: Sequence[Feature]) -> list[str]:
    """The columns of those features that multiply price by volume."""
    return list(columns([feature for feature in features if feature.of_traded_money]))


def columns(features: Sequence[Feature]) -> dict[str, Output]:
    """Every output of the features by its column name, in the order in which they are stored and packed."""
    return {name: output for feature in features for name, output in feature.outputs().items()}


def families(features: Sequence[Feature]) -> dict[str, list[str]]:
    """Family -> the names of its columns, in order: one array of the feature table each."""
    found: dict[str, list[str]] = {}
    for feature in features:
        found.setdefault(feature.family, []).extend(feature.outputs())
    return found


def fingerprint(features: Sequence[Feature]) -> str:
    """Changes whenever a name, an order or an expression of the features changes."""
    tokens = [
        f"{feature.family} {name} {out.raw.token} {out.ranked.token}"
        for feature in features
        for name, out in feature.outputs().items()
    ]
    return hashlib.sha256("\n".join(tokens).encode()).hexdigest()[:16]


def documentation(features: Sequence[Feature]) -> str:
    """A Markdown table of the features, for the README and the reports."""
    rows = [f"| {', '.join(f'`{name}`' for name in f.outputs())} | {f.family} | {f.meaning} |" for f in features]
    return "\n".join(["| columns | family | meaning |", "| --- | --- | --- |", *rows])


def reference() -> str:
    """docs/features.md: every feature that there is, and the sets that hold them."""
    held = "\n".join(
        f"| `{name}` | {len(columns(chosen))} | {', '.join(families(chosen))} |" for name, chosen in SETS.items()
    )
    return f"""# Features

Written by `make docs` from the feature objects; a test compares.

| set (`features.set`) | columns | families |
| --- | --- | --- |
{held}

A column is null until its look-back is filled. How each is tested: [CONTRIBUTING.md](../CONTRIBUTING.md).

{documentation(SETS["all"])}

Exposures are stored beside every set; targets and ranks can be made neutral to them.

{documentation(EXPOSURES)}
"""
