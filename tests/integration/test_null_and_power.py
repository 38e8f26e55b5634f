"""Null and power: a planted effect is found, noise is not, and a missing purge shows.

One run's 95 % interval misses 0 one time in twenty by design, so each claim is about the count over fixed seeds: 40 of
them, or (what `make test-full` runs) the first twelve, held to the band of twelve. Networks are dear to learn: their
effect is looked for in the first four, in each of which it must be found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from pyspark.sql import SparkSession
from scipy.stats import binom
from tests.integration.conftest import FEW
from tests.integration.universes import Score, Shape, Universe, gain, score, universes

from eraflow.graphs.history import Ensemble
from eraflow.validation import WalkForward

POWER = 0.9

# The planted effect: a hidden momentum of 1 adds a drift of 0.06 daily deviations. 60 tickers, a good three years.
EFFECT = Shape(tickers_per_sector=30, weeks=168, momentum=0.06)
NOISE = Shape(tickers_per_sector=12, weeks=140, momentum=0.0)

# Groups of three tickers share half of their shocks' variance; the momentum of the other two adds a drift of 0.15 daily
# deviations a unit. The graph's two look-backs are known from week 89 on.
NETWORK = Shape(
    tickers_per_sector=30,
    weeks=260,
    momentum=0.0,
    network=0.15,
    ring=3,
    linkage=0.5,
    ensemble=Ensemble((126, 252), degree=3),
    warm_up=89,
)

WALK_FORWARD = WalkForward(folds=5, min_train_eras=40)  # as conf/base.yml has it, with a shorter first period
# Trained on the four eras next to the purge and validated on one or two: what a leak would come through is not diluted.
SHORT_WINDOW = WalkForward(folds=80, min_train_eras=4, window=4)


def band(seeds: Sequence[int]) -> tuple[int, int]:
    """Between which counts 99 % of runs see false rejections, if each seed rejects one time in twenty."""
    low, high = binom.interval(0.99, len(seeds), 0.05)
    return int(low), int(high)


def rejections(scores: Sequence[Score]) -> int:
    return sum(score.rejects for score in scores)


def found(scores: Sequence[Score]) -> int:
    return sum(score.found for score in scores)


@pytest.fixture(scope="module")
def network_seeds(seeds: Sequence[int]) -> Sequence[int]:
    return seeds if len(seeds) > FEW else seeds[:4]


@pytest.fixture(scope="module")
def noise(spark: SparkSession, seeds: Sequence[int]) -> list[Universe]:
    return universes(spark, NOISE, seeds)


def test_a_planted_momentum_is_found_in_nine_of_ten_universes(spark: SparkSession, seeds: Sequence[int]) -> None:
    scores = [score(universe, WALK_FORWARD) for universe in universes(spark, EFFECT, seeds)]

    assert found(scores) >= POWER * len(seeds)


def test_noise_is_found_to_be_something_no_more_often_than_by_chance(
    noise: list[Universe], seeds: Sequence[int]
) -> None:
    scores = [score(universe, WALK_FORWARD) for universe in noise]

    low, high = band(seeds)
    assert low <= rejections(scores) <= high


# On noise, because a planted momentum lasts longer than a label: the holder of another ticker's targets could then be
# known again by its own slow features and predicted honestly.
def test_targets_of_other_tickers_are_not_predicted(noise: list[Universe], seeds: Sequence[int]) -> None:
    scores = [score(universe.permuted(), SHORT_WINDOW) for universe in noise]

    low, high = band(seeds)
    assert low <= rejections(scores) <= high


def test_targets_of_other_tickers_are_predicted_without_a_purge(noise: list[Universe], seeds: Sequence[int]) -> None:
    scores = [score(universe.permuted().unpurged(), SHORT_WINDOW) for universe in noise]

    assert found(scores) > len(seeds) / 2 > band(seeds)[1]


def test_network_momentum_beats_momentum_in_nine_of_ten_universes_with_a_network_effect(
    spark: SparkSession, network_seeds: Sequence[int]
) -> None:
    gains = [gain(universe, WALK_FORWARD) for universe in universes(spark, NETWORK, network_seeds)]

    assert found(gains) >= POWER * len(network_seeds)


def test_network_momentum_beats_momentum_no_more_often_than_by_chance_without_the_effect(
    spark: SparkSession, seeds: Sequence[int]
) -> None:
    gains = [gain(universe, WALK_FORWARD) for universe in universes(spark, replace(NETWORK, network=0.0), seeds)]

    assert found(gains) <= band(seeds)[1]
