"""Policies of retraining over an invented history: what is known at a moment, and nothing later."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta

import numpy as np
import pytest

from eraflow.errors import InputError
from eraflow.monitoring.replaying import FIRST, Moment, Played, Policy, moments, planned, played
from eraflow.pipeline.replay import in_steps
from eraflow.spans import EraSpan
from eraflow.validation import WalkForward

OVERLAP, ERAS = 5, 200
SPANS = [EraSpan(era, era, era + OVERLAP - 1) for era in range(1, ERAS + 1)]
WALK = WalkForward(1, min_train_eras=40, period=4)


def history(start: int | date | None = None) -> list[Moment]:
    return moments(SPANS, WALK, start, {})


def never(live: Sequence[float], before: Sequence[float]) -> str | None:
    return None


def scores(of: Callable[[str, int, int], float]) -> Callable[[str, int, Sequence[int]], Mapping[int, float]]:
    """Scores by recipe, the moment of its fit, and era."""
    return lambda recipe, moment, eras: {era: of(recipe, moment, era) for era in eras}


def play(policy: Policy, of: Callable[[str, int, int], float], alarm: Callable = never) -> Played:
    return played(policy, history(), scores(of), alarm, OVERLAP, [0.02] * 60)


def test_a_moment_knows_labels_that_have_ended_and_learns_nothing_else() -> None:
    for moment in history():
        first = moment.predicted[0]
        assert moment.resolved == tuple(range(1, first - OVERLAP + 1))
        assert moment.fold.train == moment.resolved
    eras = [era for moment in history() for era in moment.predicted]
    assert eras == list(range(eras[0], ERAS + 1))


def test_a_replay_starts_where_it_is_told() -> None:
    days = {era: date(2020, 1, 3) + timedelta(weeks=era) for era in range(1, ERAS + 1)}

    assert history(start=101)[0].predicted[0] == 101
    assert moments(SPANS, WALK, days[101], days)[0].predicted[0] == 101
    with pytest.raises(InputError, match=r"replay.start: eras have no dates here; name one by its number"):
        history(start=date(2020, 1, 1))
    with pytest.raises(InputError, match=r"replay.start leaves 0 moments of 4 eras to play; start earlier"):
        history(start=ERAS + 1)


def test_a_policy_refits_once_its_eras_have_passed() -> None:
    policy = Policy("regular", 13, recipes=("a",))

    found = play(policy, lambda recipe, moment, era: float(moment))

    at = [change.moment for change in found.changes]
    assert at == planned(policy, history()) == [0, 4, 8, 12, 16, 20, 24, 28, 32, 36]
    assert found.changes[0].why == FIRST
    assert found.changes[1].why == "16 eras had passed"
    assert found.fits == [("a", moment) for moment in at]
    by_moment = {era: moment.number for moment in history() for era in moment.predicted}
    assert found.scores == {era: float(max(m for m in at if m <= number)) for era, number in by_moment.items()}


@pytest.mark.parametrize(
    ("every", "said"),
    [(12, "refitted every 12 eras"), (13, "refitted every 16 eras (the first moments after 13, 4 apart)")],
)
def test_how_often_a_schedule_really_refits_is_told(every: int, said: str) -> None:
    found = play(Policy("regular", every, recipes=("a",)), lambda recipe, moment, era: 0.0)

    first, second = found.changes[:2]
    assert said.startswith(f"refitted every {second.era - first.era} eras")
    assert in_steps(every, WALK.period) == said


def test_one_that_never_refits_has_one_fit() -> None:
    found = play(Policy("never", None, recipes=("a",)), lambda recipe, moment, era: float(moment))

    assert (found.fits, set(found.scores.values())) == ([("a", 0)], {0.0})


def test_an_alarm_sees_resolved_scores_only_and_begins_anew_after_it() -> None:
    seen: list[tuple[Sequence[float], Sequence[float]]] = []

    def alarm(live: Sequence[float], before: Sequence[float]) -> str | None:
        seen.append((live, before))
        return "it fell" if len(live) >= 30 else None

    found = play(Policy("policy", None, alarms=True, recipes=("a",)), lambda recipe, moment, era: float(era), alarm)

    first = history()[0].predicted[0]
    for moment, (live, before) in zip(history()[1:], seen, strict=True):
        resolved = [float(era) for era in moment.resolved if era >= first]
        assert [*before[60:], *live] == resolved
    assert found.changes[1].is_alarm
    assert found.changes[1].why == "it fell"
    after = seen[found.changes[1].moment]
    assert len(after[0]) == 0  # nothing of the new model is known yet
    assert len(found.changes) == 1 + len([change for change in found.changes if change.is_alarm])


def test_without_validation_the_first_live_eras_are_what_charts_hold_others_against() -> None:
    seen: list[tuple[int, int]] = []

    def alarm(live: Sequence[float], before: Sequence[float]) -> str | None:
        seen.append((len(live), len(before)))
        return None

    played(Policy("policy", None, alarms=True, recipes=("a",)), history(), scores(lambda *_: 0.1), alarm, OVERLAP, [])

    assert max(before for _, before in seen) == 10 * OVERLAP
    assert all(live == 0 for live, before in seen if before < 10 * OVERLAP)
    assert seen[-1][0] > 50


def test_a_better_recipe_is_promoted_at_a_refit_once_that_is_told() -> None:
    draw = np.random.default_rng(3).normal(0, 0.01, (2, ERAS + 1))

    def of(recipe: str, moment: int, era: int) -> float:
        return float(draw[0][era]) if recipe == "a" else float(draw[1][era] + 0.03)

    found = play(Policy("policy", 13, recipes=("a", "b")), of)

    (promotion,) = [change for change in found.changes if change.is_promotion]
    assert promotion.recipe == "b"
    assert promotion.moment > 8  # fifty resolved eras are the least for an interval
    assert "b was better over" in promotion.why
    assert [change.recipe for change in found.changes if change.moment > promotion.moment][-1] == "b"
    assert len(found.fits) == 2 * len(found.changes)


def test_recipes_are_compared_by_enough_eras_and_not_at_every_refit() -> None:
    draw, turn = np.random.default_rng(3).normal(0, 0.01, (2, ERAS + 1)), 90
    begin = history()[0].predicted[0]
    counts = {moment.predicted[0]: sum(era >= begin for era in moment.resolved) for moment in history()}
    first = min(era for era, eras in counts.items() if eras >= 50)  # the first look

    def of(recipe: str, moment: int, era: int) -> float:  # b is like a at first, and then better
        return float(draw[0][era] if recipe == "a" else draw[1][era] + (0.03 if era >= turn else 0.0))

    def promoted(compare_from: int, compare_every: int) -> int:
        rules = {"compare_from": compare_from, "compare_every": compare_every}
        found = play(Policy("policy", 4, recipes=("a", "b"), **rules), of)
        return next(change.era for change in found.changes if change.is_promotion)

    assert first < promoted(50, 1) < first + 60
    assert promoted(50, 60) == first + 60
    assert counts[promoted(140, 1)] in range(140, 144)


def test_what_is_not_resolved_changes_nothing_before() -> None:
    draw = np.random.default_rng(5).normal(0.0, 0.01, (2, ERAS + 1))
    cut = history()[20]
    later = set(range(max(cut.resolved) + 1, ERAS + 1))

    def alarm(live: Sequence[float], before: Sequence[float]) -> str | None:
        return "low" if len(live) > 20 and np.mean(live) < 0.0005 else None

    def of(recipe: str, moment: int, era: int) -> float:
        return float(draw[int(recipe == "b")][era])

    def poisoned(recipe: str, moment: int, era: int) -> float:
        return 100.0 * (-1) ** (era + (recipe == "b")) if era in later else of(recipe, moment, era)

    policy = Policy("policy", 16, alarms=True, recipes=("a", "b"))
    plain, other = play(policy, of, alarm), play(policy, poisoned, alarm)

    until = lambda found: [change for change in found.changes if change.moment <= cut.number]  # noqa: E731
    assert until(plain) == until(other)
    assert len(until(plain)) > 2
    assert {era: x for era, x in plain.scores.items() if era not in later} == {
        era: x for era, x in other.scores.items() if era not in later
    }
    assert plain.changes != other.changes  # the poison is strong enough to be seen
