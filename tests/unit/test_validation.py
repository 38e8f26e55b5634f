"""Era splitters: what each fold trains on, validates and drops."""

import doctest
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from eraflow import validation
from eraflow.errors import InputError
from eraflow.spans import EraSpan, reach_in_eras, spans_from_numbers
from eraflow.validation import (
    BlockedKFold,
    CombinatorialPurged,
    Fold,
    WalkForward,
    check,
    hold_out,
    purged,
    watched_block,
)

Splitter = WalkForward | BlockedKFold | CombinatorialPurged
FIRST_FRIDAY = date(2003, 1, 3)


def no_overlap(eras: range) -> list[EraSpan]:
    return [EraSpan(era, era, era) for era in eras]


def weekly(eras: range, days: int) -> list[EraSpan]:
    """Eras on Fridays whose labels end `days` days later."""
    fridays = {era: FIRST_FRIDAY + timedelta(weeks=era - 1) for era in eras}
    return [EraSpan(era, friday, friday + timedelta(days=days)) for era, friday in fridays.items()]


def test_the_examples_of_the_docstrings_hold() -> None:
    results = doctest.testmod(validation, extraglobs={"spans_from_numbers": spans_from_numbers})

    assert results.attempted == 9
    assert results.failed == 0


@pytest.mark.parametrize(("days", "reach", "drop"), [(20, 5, 8), (60, 13, 16), (24, 6, 9)])
def test_era_numbers_give_the_reach_and_the_default_drop_of_classic_targets(days: int, reach: int, drop: int) -> None:
    assert reach_in_eras(days) == reach
    assert spans_from_numbers([7, 9], days) == [EraSpan(7, 7, 7 + drop), EraSpan(9, 9, 9 + drop)]

    fold = WalkForward(1, min_train_eras=20).split(spans_from_numbers(range(1, 61), days, extra=0))[0]

    assert fold.validation[0] - fold.train[-1] == reach + 1


@pytest.mark.parametrize(("days", "least"), [(20, 5), (60, 13)])
def test_a_gap_below_what_a_classic_target_needs_is_refused(days: int, least: int) -> None:
    spans = spans_from_numbers(range(1, 101), days, extra=0)

    assert WalkForward(3, 30, purge=least).split(spans)
    with pytest.raises(InputError, match=f"over {least} eras but validation.purge is {least - 1}: .* at least {least}"):
        WalkForward(3, 30, purge=least - 1).split(spans)


def test_walk_forward_spreads_the_remainder_and_drops_no_era() -> None:
    folds = WalkForward(3, min_train_eras=4, purge=1).split(no_overlap(range(1, 16)))

    assert folds == [
        Fold(1, (1, 2, 3, 4), (6, 7, 8, 9), (5,)),
        Fold(2, (1, 2, 3, 4, 5, 6, 7, 8), (10, 11, 12), (9,)),
        Fold(3, (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11), (13, 14, 15), (12,)),
    ]


def test_a_rolling_window_forgets_the_oldest_eras() -> None:
    folds = WalkForward(2, min_train_eras=3, window=4, purge=1).split(no_overlap(range(1, 11)))

    assert folds == [Fold(1, (1, 2, 3), (5, 6, 7), (4,)), Fold(2, (3, 4, 5, 6), (8, 9, 10), (7,))]


def test_purge_by_dates_counts_days_and_not_weeks() -> None:
    spans = weekly(range(1, 31), days=30)

    fold = BlockedKFold(3).split(spans)[1]

    assert fold == Fold(2, (1, 2, 3, 4, 5, 6, *range(25, 31)), tuple(range(11, 21)), (7, 8, 9, 10, 21, 22, 23, 24))


def test_an_era_that_ends_on_the_day_another_starts_is_purged() -> None:
    touching, apart = weekly(range(1, 11), days=7), weekly(range(1, 11), days=6)

    assert BlockedKFold(2).split(touching)[1].purged == (5,)
    assert BlockedKFold(2).split(apart)[1].purged == ()


def test_purge_is_counted_in_era_numbers_when_eras_are_sampled() -> None:
    every_fourth = spans_from_numbers(range(1, 81, 4), horizon_days=20, extra=0)

    derived = BlockedKFold(4).split(every_fourth)[1]
    asked = BlockedKFold(4, purge=8).split(every_fourth)[1]

    assert derived.validation == asked.validation == (21, 25, 29, 33, 37)
    assert derived.purged == (17, 41)
    assert asked.purged == (13, 17, 41, 45)


def test_embargo_follows_the_purge_and_only_where_training_follows() -> None:
    first, second = BlockedKFold(2, embargo=3).split(spans_from_numbers(range(1, 21), 5, extra=0))

    assert first == Fold(1, tuple(range(16, 21)), tuple(range(1, 11)), (11, 12), (13, 14, 15))
    assert second == Fold(2, tuple(range(1, 9)), tuple(range(11, 21)), (9, 10))


def test_spans_without_length_switch_the_purge_off() -> None:
    fold = WalkForward(1, min_train_eras=5).split(no_overlap(range(1, 9)))[0]

    assert fold == Fold(1, (1, 2, 3, 4, 5), (6, 7, 8))


def test_a_purge_too_small_is_refused_with_eras_dates_and_the_mend() -> None:
    spans = weekly(range(1, 61), days=90)

    with pytest.raises(InputError) as refusal:
        WalkForward(2, min_train_eras=20, purge=4).split(spans)

    assert str(refusal.value) == (
        "the labels run over 12 eras but validation.purge is 4: fold 1 would train on era 20 (label until 2003-08-14)"
        " while era 25 is validated (from 2003-06-20); set validation.purge to at least 12 or leave it out."
    )
    assert WalkForward(2, min_train_eras=20, purge=12).split(spans)


def test_labels_that_run_out_of_the_order_of_eras_are_purged_as_well() -> None:
    spans = [
        EraSpan(1, 1, 2),
        EraSpan(2, 4, 5),
        EraSpan(3, 6, 9),
        EraSpan(4, 5, 7),
        EraSpan(5, 8, 8),
        EraSpan(6, 10, 10),
    ]

    assert BlockedKFold(3).split(spans)[1] == Fold(2, (1, 6), (3, 4), (2, 5))


@pytest.mark.parametrize("splitter", [WalkForward(2, 10), BlockedKFold(3), CombinatorialPurged(4, 2)])
def test_a_splitter_that_forgot_the_purge_would_be_refused(splitter: Splitter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "_touched", lambda *_: set())

    with pytest.raises(InputError, match=r"fold 1 would train on era .* widen the gap"):
        splitter.split(weekly(range(1, 61), days=30))


def test_too_little_history_is_refused_with_the_count() -> None:
    with pytest.raises(InputError) as refusal:
        WalkForward(2, min_train_eras=10).split(spans_from_numbers(range(1, 16), 20, extra=0))

    assert str(refusal.value) == (
        "too little history for the first fold: 8 eras before the first validation era after a purge of 5,"
        " need validation.min_train_eras=10; lower it, or give a longer history."
    )


def test_a_fold_without_training_eras_is_refused() -> None:
    with pytest.raises(InputError, match="fold 1 trains on 0 eras, need 1, after a purge of 5 and an embargo of 0"):
        BlockedKFold(2).split(spans_from_numbers(range(1, 11), 20, extra=0))


@pytest.mark.parametrize(
    ("splitter", "message"),
    [
        (lambda: BlockedKFold(11), "validation.folds is 11 but there are only 10 eras"),
        (lambda: WalkForward(11, 1), "validation.folds is 11 but there are only 10 eras"),
        (lambda: CombinatorialPurged(11, 2), "validation.folds is 11 but there are only 10 eras"),
        (lambda: BlockedKFold(1), "validation.folds is 1; it must be at least 2"),
        (lambda: WalkForward(0, 5), "validation.folds is 0; it must be at least 1"),
        (lambda: WalkForward(2, 0), "validation.min_train_eras is 0; it must be at least 1"),
        (lambda: WalkForward(2, 5, window=4), "validation.window is 4; it must be at least 5"),
        (lambda: WalkForward(2, 5, purge=-1), "validation.purge is -1; it must be at least 0"),
        (lambda: BlockedKFold(2, embargo=-1), "validation.embargo is -1; it must be at least 0"),
        (lambda: CombinatorialPurged(3, 3), "validation.folds is 3; it must be at least 4"),
        (lambda: CombinatorialPurged(3, 0), "validation.test_blocks is 0; it must be at least 1"),
    ],
)
def test_settings_that_cannot_be_met_are_refused(splitter: type[BlockedKFold], message: str) -> None:
    with pytest.raises(InputError, match=message):
        splitter().split(no_overlap(range(1, 11)))  # type: ignore[call-arg]


@pytest.mark.parametrize("splitter", [WalkForward(1, 1), BlockedKFold(2), CombinatorialPurged(2, 1)])
@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([EraSpan(2, 2, 2), EraSpan(1, 1, 1), EraSpan(3, 3, 3)], "era 1 is listed after era 2"),
        ([EraSpan(1, 1, 1), EraSpan(1, 1, 1), EraSpan(3, 3, 3)], "era 1 is listed after era 1"),
        ([EraSpan(1, 1, 1), EraSpan(2, FIRST_FRIDAY, FIRST_FRIDAY)], "mix dates and numbers"),
        ([], "there are only 0 eras"),
    ],
)
def test_eras_that_are_no_history_are_refused(splitter: Splitter, spans: list[EraSpan], message: str) -> None:
    with pytest.raises(InputError, match=message):
        splitter.split(spans)


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (5, 4, "ends before it starts"),
        (date(2020, 1, 2), date(2020, 1, 1), "ends before it starts"),
        (5, date(2020, 1, 1), "two dates or two whole numbers"),
        (datetime(2020, 1, 1), datetime(2020, 1, 2), "two dates or two whole numbers"),
        (None, 3, "two dates or two whole numbers"),
    ],
)
def test_a_span_that_is_none_is_refused(start: date, end: date, message: str) -> None:
    with pytest.raises(InputError, match=f"era 7 .*{message}"):
        EraSpan(7, start, end)


@pytest.mark.parametrize(
    ("fold", "message"),
    [
        (Fold(1, (1, 2), (6, 7)), r"fold 1 would train on era 2 \(label until 7\) while era 6 is validated"),
        (Fold(1, (1,), (6,)), r"fold 1 would train on era 1 \(label until 6\) while era 6 is validated"),
        (Fold(1, (6,), (1,)), r"fold 1 would train on era 6 \(label until 11\) while era 1 is validated"),
        (Fold(1, (), (6, 7)), "nothing to train on"),
        (Fold(1, (1,), ()), "nothing to validate"),
        (Fold(1, (1,), (7,), (1,)), "an era in two parts"),
        (Fold(1, (1,), (8, 7)), "out of order"),
        (Fold(1, (1,), (11,)), "era 11, whose label's span is not known"),
    ],
)
def test_check_finds_the_fault_in_a_fold(fold: Fold, message: str) -> None:
    spans = spans_from_numbers(range(1, 11), 20, extra=0)
    check([Fold(1, (1,), (7, 8), (2, 3), (4,))], spans)

    with pytest.raises(InputError, match=message):
        check([fold], spans)


@pytest.mark.parametrize(("purge", "learned"), [(None, 14), (2, 14), (9, 10)])
def test_watched_eras_are_purged_by_labels_and_by_what_is_asked_for(purge: int | None, learned: int) -> None:
    spans = spans_from_numbers(range(1, 25), horizon_days=20, extra=0)
    chosen, watched = watched_block(spans, 5, purge)
    assert watched == [20, 21, 22, 23, 24]
    assert chosen == list(range(1, learned + 1))


def test_a_holdout_is_the_last_eras_and_trains_on_what_its_labels_do_not_meet() -> None:
    spans = spans_from_numbers(range(1, 41), horizon_days=20, extra=0)

    seen, holdout = hold_out(spans, 10)

    assert [span.era for span in seen] == list(range(1, 31))
    assert holdout is not None
    assert (holdout.train[-1], holdout.purged, holdout.validation) == (25, (26, 27, 28, 29, 30), tuple(range(31, 41)))
    assert hold_out(spans, 0) == (tuple(spans), None)
    for fold in WalkForward(3, min_train_eras=5).split(seen):
        assert not set(fold.validation) & set(holdout.validation)


@pytest.mark.parametrize("count", [36, 40, 41])
def test_a_holdout_that_leaves_nothing_to_train_on_is_refused(count: int) -> None:
    spans = spans_from_numbers(range(1, 41), horizon_days=20, extra=0)

    with pytest.raises(InputError, match=r"too little history|validation.holdout is 41"):
        hold_out(spans, count)


def test_a_holdout_purged_by_too_little_is_refused() -> None:
    with pytest.raises(InputError, match=r"validation.purge is 2"):
        hold_out(spans_from_numbers(range(1, 41), horizon_days=20, extra=0), 10, purge=2)


@pytest.mark.parametrize("days", [20, 60])
def test_anchored_periods_do_not_move_when_eras_are_added(days: int) -> None:
    splitter = WalkForward(5, min_train_eras=30, period=12)
    before = splitter.split(spans_from_numbers(range(1, 101), days))
    for count in range(101, 125):
        folds = splitter.split(spans_from_numbers(range(1, count + 1), days))
        assert folds[: len(before) - 1] == before[:-1]
        last = folds[len(before) - 1]
        assert last.train == before[-1].train
        assert last.validation[: len(before[-1].validation)] == before[-1].validation
        assert [len(fold.validation) for fold in folds[:-1]] == [12] * (len(folds) - 1)
        assert sorted(era for fold in folds for era in fold.validation) == [*range(folds[0].validation[0], count + 1)]
    assert len(splitter.split(spans_from_numbers(range(1, 31 + 17), 60))) == 1
    with pytest.raises(InputError, match="too little history for the first fold: 29 eras"):
        splitter.split(spans_from_numbers(range(1, 31 + 16), 60))


@pytest.mark.parametrize(
    "splitter",
    [WalkForward(3, min_train_eras=30), BlockedKFold(4), CombinatorialPurged(5, 2)],
    ids=lambda x: type(x).__name__,
)
def test_a_model_of_longer_labels_learns_fewer_eras_of_the_same_folds(splitter: WalkForward | BlockedKFold) -> None:
    scored, longer = (spans_from_numbers(range(1, 121), horizon_days=days, extra=0) for days in (20, 60))

    for fold in splitter.split(scored):
        with pytest.raises(InputError, match="would train on era"):
            check([fold], longer)
        narrowed = purged(fold, longer)
        check([narrowed], longer)
        assert narrowed.validation == fold.validation
        assert set(narrowed.purged) - set(fold.purged) == set(fold.train) - set(narrowed.train)
        for era in set(fold.train) - set(narrowed.train):
            with pytest.raises(InputError, match=f"would train on era {era} "):
                check([replace(narrowed, train=(era,), purged=())], longer)
        assert purged(fold, scored) == fold


def test_a_purge_that_a_models_own_labels_are_too_long_for_is_refused() -> None:
    fold = WalkForward(3, min_train_eras=30, purge=8).split(spans_from_numbers(range(1, 121), 20, extra=0))[0]
    with pytest.raises(InputError, match=r"its labels are longer: fold 1 would train on era \d+ .* validation.purge=8"):
        purged(fold, spans_from_numbers(range(1, 121), 60, extra=0), 8)
    with pytest.raises(InputError, match="has no era left to train on"):
        purged(fold, spans_from_numbers(range(1, 121), 400, extra=0))
