"""Which recipe is better: the stated rates of promotion on simulated pairs, and what a decision does."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from eraflow.errors import InputError
from eraflow.monitoring.promotion import (
    Paired,
    Ruling,
    Verdict,
    Verdicts,
    at_look,
    decided,
    eras_needed,
    evidence,
    from_evidence,
    paired,
    paired_values,
)

CONFIDENCE = 0.95
RATE = (1 - CONFIDENCE) / 2
GAIN, DEVIATION = 0.002, 0.01  # of a recipe that is worth promoting, by era, and of its paired differences
Scores = dict[int, float]


def overlapping(random: np.random.Generator, eras: int, overlap: int) -> npt.NDArray[np.float64]:
    """Normal values of deviation 1 that go together as labels over `overlap` eras do."""
    steps = np.cumsum(random.standard_normal(eras + overlap))
    return np.asarray((steps[overlap:] - steps[:-overlap]) / np.sqrt(overlap))


def pairs(count: int, eras: int, overlap: int, gain: float) -> Iterator[tuple[Scores, Scores]]:
    """Scores of a champion and of a challenger that is better by `gain` on average; both share the market's eras."""
    for seed in range(count):
        random = np.random.default_rng([seed, eras, overlap])
        common = 0.02 + 0.03 * overlapping(random, eras, overlap)
        apart = gain + DEVIATION * overlapping(random, eras, overlap)
        yield dict(enumerate(common, 1)), dict(enumerate(common + apart, 1))


def promoted(count: int, eras: int, overlap: int, gain: float) -> int:
    found = [paired(*both, overlap, CONFIDENCE) for both in pairs(count, eras, overlap, gain)]
    return sum(decided(Verdicts(None, one))[0] is Ruling.PROMOTE for one in found)


def most(count: int, rate: float) -> int:
    """More are not to be expected of so many in 99 of 100 tests."""
    return int(stats.binom.ppf(0.99, count, rate))


SIZES = [60, pytest.param(200, marks=pytest.mark.soak), pytest.param(2000, marks=pytest.mark.soak)]


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize(("eras", "overlap"), [(300, 4), (300, 12), (780, 4)])
def test_an_equal_recipe_is_promoted_at_the_stated_rate(count: int, eras: int, overlap: int) -> None:
    # The interval covers 94 % instead of 95 where labels overlap much (scoring.intervals).
    assert promoted(count, eras, overlap, 0.0) <= most(count, RATE + 0.01)


@pytest.mark.parametrize("count", SIZES)
def test_a_worse_recipe_is_hardly_ever_promoted(count: int) -> None:
    assert promoted(count, 780, 4, -GAIN) <= most(count, 0.001)


@pytest.mark.parametrize("count", SIZES)
def test_a_better_recipe_is_promoted_with_the_stated_power(count: int) -> None:
    needed = eras_needed(GAIN, DEVIATION, 4, CONFIDENCE)
    assert needed == 785
    assert promoted(count, needed, 4, GAIN) >= stats.binom.ppf(0.01, count, 0.75)


@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=pytest.mark.soak)])
def test_an_equal_recipe_that_is_looked_at_for_years_keeps_the_stated_rate(count: int) -> None:
    looks = list(enumerate(range(300, 781, 26), 1))
    ever = alone = 0
    for champion, challenger in pairs(count, 780, 4, 0.0):
        apart = np.array(list(challenger.values())) - np.array(list(champion.values()))
        found = [paired_values(apart[:eras], 4, at_look(CONFIDENCE, look)).verdict for look, eras in looks]
        careless = [paired_values(apart[:eras], 4, CONFIDENCE).verdict for _, eras in looks]
        ever, alone = ever + (Verdict.BETTER in found), alone + (Verdict.BETTER in careless)

    assert ever <= most(count, RATE)
    assert ever < alone or count < 1000  # what every look would cost with all of the error


def test_a_hundred_eras_cannot_tell_such_recipes_apart() -> None:
    assert promoted(60, 100, 4, GAIN) < 30


def test_only_eras_that_both_have_are_compared() -> None:
    champion, challenger = dict.fromkeys(range(1, 40), 0.01), dict.fromkeys(range(20, 60), 0.03)
    challenger[25] = float("nan")

    found = paired(champion, challenger, 1, CONFIDENCE)

    assert (found.eras, found.mean) == (19, pytest.approx(0.02))


def test_recipes_without_a_common_era_are_refused() -> None:
    with pytest.raises(InputError, match="no scored era in common; validate both on the same eras"):
        paired({1: 0.1}, {2: 0.1}, 1, CONFIDENCE)


def test_few_eras_tell_nothing_and_say_so() -> None:
    found = paired({1: 0.1, 2: 0.2, 3: 0.1}, {1: 0.3, 2: 0.3, 3: 0.4}, 4, CONFIDENCE)

    assert found.verdict is Verdict.UNKNOWN
    assert "over 3 eras, too few for an interval with labels over 4" in found.said("new", "old", "numerai_corr")


def test_fewer_eras_than_are_asked_for_promote_nothing_and_say_so() -> None:
    champion, challenger = dict.fromkeys(range(299), 0.01), {era: 0.05 + era % 7 / 1000 for era in range(299)}

    found = paired(champion, challenger, 4, CONFIDENCE, 300)
    assert decided(Verdicts(None, found))[0] is Ruling.KEEP
    assert "over 299 eras; to be compared takes 300" in found.said("new", "old", "numerai_corr")
    assert from_evidence(evidence(champion, challenger), 4, CONFIDENCE, 300) == found
    assert paired(champion, challenger, 4, CONFIDENCE, 299).verdict is Verdict.BETTER


def test_the_same_predictions_are_alike() -> None:
    scores = dict.fromkeys(range(100), 0.5)

    found = paired(scores, scores, 4, CONFIDENCE)

    assert found.verdict is Verdict.ALIKE
    assert found.said("new", "old", "mmc") == "new less old: mmc +0.0000 over 100 eras: the same predictions"


def test_a_gain_that_is_not_told_says_how_many_eras_it_needs() -> None:
    (both,) = pairs(1, 200, 4, GAIN)

    said = paired(*both, 4, CONFIDENCE).said("new", "old", "numerai_corr")

    assert "not told apart; to tell such a gain takes about" in said


def verdict(which: Verdict) -> Paired:
    ends = {Verdict.BETTER: (0.1, 0.2), Verdict.WORSE: (-0.2, -0.1), Verdict.ALIKE: (-0.1, 0.1)}
    low, high = ends.get(which, (None, None))
    return Paired(100, 4, CONFIDENCE, 0.0, 0.1, low, high)


@pytest.mark.parametrize("refit", [None, *Verdict])
@pytest.mark.parametrize("challenger", [None, *Verdict])
def test_a_decision_follows_from_its_two_comparisons(refit: Verdict | None, challenger: Verdict | None) -> None:
    ruling, why = decided(Verdicts(refit and verdict(refit), challenger and verdict(challenger)))

    if challenger is Verdict.BETTER:
        assert ruling is Ruling.PROMOTE
    elif refit in (None, Verdict.WORSE):
        assert ruling is Ruling.KEEP
    else:
        assert ruling is Ruling.REFIT
    assert ("the challenger's recipe" in why) == (challenger is not None)


def test_a_comparison_comes_out_of_its_evidence_again() -> None:
    (both,) = pairs(1, 300, 4, GAIN)

    assert from_evidence(evidence(*both), 4, CONFIDENCE) == paired(*both, 4, CONFIDENCE)
