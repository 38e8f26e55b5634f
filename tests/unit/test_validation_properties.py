"""What holds for every splitter, whatever the eras and their labels."""

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from math import comb

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from eraflow.errors import InputError
from eraflow.spans import EraSpan, spans_from_numbers
from eraflow.validation import BlockedKFold, CombinatorialPurged, Fold, WalkForward

Splitter = WalkForward | BlockedKFold | CombinatorialPurged
FIRST_FRIDAY = date(2003, 1, 3)


def meet(one: EraSpan, other: EraSpan) -> bool:
    """Closed intervals that share a moment, said in another way than the library does."""
    return not (one.end < other.start or other.end < one.start)  # type: ignore[operator]


@st.composite
def era_spans(draw: st.DrawFn) -> list[EraSpan]:
    """Sampled eras with gaps; labels that start in the order of eras and run over up to 60 days or 14 eras."""
    eras = sorted(draw(st.sets(st.integers(1, 150), min_size=12, max_size=60)))
    if draw(st.booleans()):
        lags, lengths = draw(st.integers(0, 3)), st.integers(0, 60)
        starts = [FIRST_FRIDAY + timedelta(weeks=era, days=lags) for era in eras]
        return [
            EraSpan(era, start, start + timedelta(days=draw(lengths))) for era, start in zip(eras, starts, strict=True)
        ]
    return [EraSpan(era, era, era + draw(st.integers(0, 14))) for era in eras]


@st.composite
def wild_spans(draw: st.DrawFn) -> list[EraSpan]:
    """Labels in no order at all: what no data has, and must be safe all the same."""
    eras = sorted(draw(st.sets(st.integers(1, 60), min_size=6, max_size=30)))
    starts = [draw(st.integers(-20, 100)) for _ in eras]
    return [EraSpan(era, start, start + draw(st.integers(0, 20))) for era, start in zip(eras, starts, strict=True)]


purges = st.none() | st.integers(0, 25)
walks = st.builds(
    WalkForward,
    folds=st.integers(1, 6),
    min_train_eras=st.integers(1, 8),
    window=st.none() | st.integers(8, 20),
    purge=purges,
    embargo=st.integers(0, 6),
)
kfolds = st.builds(BlockedKFold, folds=st.integers(2, 6), purge=purges, embargo=st.integers(0, 6))
combinations = st.integers(2, 6).flatmap(
    lambda blocks: st.builds(
        CombinatorialPurged,
        blocks=st.just(blocks),
        test_blocks=st.integers(1, blocks - 1),
        purge=purges,
        embargo=st.integers(0, 6),
    )
)
splitters = walks | kfolds | combinations


def folds_or_refusal(splitter: Splitter, spans: list[EraSpan]) -> tuple[list[Fold], str]:
    try:
        return splitter.split(spans), ""
    except InputError as refusal:
        return [], str(refusal)


def folds_or_skip(splitter: Splitter, spans: list[EraSpan]) -> list[Fold]:
    """Folds, or no example where the draw leaves too little history or asks for too small a purge; no other refusal."""
    folds, refusal = folds_or_refusal(splitter, spans)
    assume(not any(words in refusal for words in ("validation.purge is", "too little history", "there are only")))
    assert not refusal
    return folds


@given(era_spans() | wild_spans(), splitters)
def test_parts_are_disjoint_sorted_known_and_free_of_leaks(spans: list[EraSpan], splitter: Splitter) -> None:
    folds = folds_or_skip(splitter, spans)

    span_of = {span.era: span for span in spans}
    assert [fold.number for fold in folds] == list(range(1, len(folds) + 1))
    for fold in folds:
        parts = (fold.train, fold.validation, fold.purged, fold.embargoed)
        every = [era for part in parts for era in part]
        assert fold.train
        assert fold.validation
        assert len(every) == len(set(every))
        assert set(every) <= span_of.keys()
        assert all(a < b for part in parts for a, b in pairwise(part))
        assert not any(meet(span_of[a], span_of[b]) for a in fold.train for b in fold.validation)
        if not isinstance(splitter, WalkForward):
            assert set(every) == span_of.keys()


@given(era_spans(), walks)
def test_walk_forward_validates_all_after_the_first_training_period(spans: list[EraSpan], walk: WalkForward) -> None:
    folds = folds_or_skip(walk, spans)

    eras = [span.era for span in spans]
    validated = [era for fold in folds for era in fold.validation]
    assert validated == eras[eras.index(validated[0]) :]
    sizes = [len(fold.validation) for fold in folds]
    assert len(sizes) == walk.folds
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1
    for fold in folds:
        assert fold.train[-1] < fold.validation[0]
        assert fold.embargoed == ()
        assert len(fold.train) >= walk.min_train_eras
        if walk.window is None:
            past = [era for era in eras if era < fold.validation[0]]
            assert sorted(fold.train + fold.purged) == past
        else:
            assert len(fold.train) <= walk.window
        if walk.purge is not None:
            assert fold.validation[0] - fold.train[-1] > walk.purge


@given(era_spans(), kfolds)
def test_blocked_folds_validate_every_era_exactly_once(spans: list[EraSpan], splitter: BlockedKFold) -> None:
    folds = folds_or_skip(splitter, spans)

    assert [era for fold in folds for era in fold.validation] == [span.era for span in spans]
    sizes = [len(fold.validation) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    for fold in folds:
        before = [era for era in fold.train if era < fold.validation[0]]
        after = [era for era in fold.train if era > fold.validation[-1]]
        assert set(before) | set(after) == set(fold.train)
        if before and splitter.purge is not None:
            assert fold.validation[0] - before[-1] > splitter.purge
        if after and splitter.purge is not None:
            assert after[0] - fold.validation[-1] > splitter.purge + splitter.embargo
        if after and splitter.embargo:
            assert after[0] - max(fold.validation[-1], *(e for e in fold.purged if e < after[0]), 0) > splitter.embargo
        assert all(era > fold.validation[-1] for era in fold.embargoed)


@given(era_spans(), combinations)
def test_combinatorial_folds_validate_every_era_equally_often(
    spans: list[EraSpan], splitter: CombinatorialPurged
) -> None:
    folds = folds_or_skip(splitter, spans)

    n, k = splitter.blocks, splitter.test_blocks
    assert len(folds) == comb(n, k)
    counts = Counter(era for fold in folds for era in fold.validation)
    assert counts == dict.fromkeys((span.era for span in spans), comb(n - 1, k - 1))


@given(combinations)
def test_each_path_predicts_every_block_once_and_no_prediction_is_used_twice(splitter: CombinatorialPurged) -> None:
    spans = [EraSpan(block, block, block) for block in range(splitter.blocks)]
    folds = replace(splitter, purge=None, embargo=0).split(spans)

    paths = splitter.paths()

    assert len(paths) == comb(splitter.blocks - 1, splitter.test_blocks - 1)
    assert all(len(path) == splitter.blocks for path in paths)
    used = [(fold, block) for path in paths for block, fold in enumerate(path)]
    predicted = [(fold.number, block) for fold in folds for block in fold.validation]  # a block is one era here
    assert sorted(used) == sorted(predicted)


@given(era_spans(), kfolds | combinations)
def test_the_derived_purge_is_what_all_pairs_of_labels_say(
    spans: list[EraSpan], splitter: BlockedKFold | CombinatorialPurged
) -> None:
    folds = folds_or_skip(replace(splitter, purge=None, embargo=0), spans)

    for fold in folds:
        validated = [span for span in spans if span.era in fold.validation]
        others = [span for span in spans if span.era not in fold.validation]
        brute = tuple(span.era for span in others if any(meet(span, held) for held in validated))
        assert fold.purged == brute


@given(era_spans(), splitters, st.integers(0, 25))
def test_a_given_purge_is_honoured_or_refused(spans: list[EraSpan], splitter: Splitter, purge: int) -> None:
    splitter = replace(splitter, purge=purge, embargo=0)
    needed = max(b.era - a.era for a in spans for b in spans if a.era <= b.era and meet(a, b))

    folds, refusal = folds_or_refusal(splitter, spans)

    if refusal and "validation.purge is" in refusal:
        assert purge < needed
        assert f"set validation.purge to at least {needed} or leave it out" in refusal
    for fold in folds:
        assert all(abs(train - held) > purge for train in fold.train for held in fold.validation)


@given(era_spans(), kfolds | combinations, st.integers(1, 30))
def test_longer_labels_never_purge_less(
    spans: list[EraSpan], splitter: BlockedKFold | CombinatorialPurged, more: int
) -> None:
    splitter = replace(splitter, purge=None, embargo=0)
    later = timedelta(days=more) if isinstance(spans[0].end, date) else more
    longer = [replace(span, end=span.end + later) for span in spans]  # type: ignore[operator]

    short, long = folds_or_skip(splitter, spans), folds_or_skip(splitter, longer)

    assert all(set(a.purged) <= set(b.purged) for a, b in zip(short, long, strict=True))


@given(era_spans(), walks, st.integers(1, 30))
def test_longer_labels_never_bring_the_first_validation_forward(
    spans: list[EraSpan], walk: WalkForward, more: int
) -> None:
    walk = replace(walk, purge=None)
    later = timedelta(days=more) if isinstance(spans[0].end, date) else more
    longer = [replace(span, end=span.end + later) for span in spans]  # type: ignore[operator]

    short, long = folds_or_skip(walk, spans), folds_or_skip(walk, longer)

    assert short[0].validation[0] <= long[0].validation[0]


@settings(max_examples=20)
@given(splitters)
def test_splitting_twice_gives_the_same_folds(splitter: Splitter) -> None:
    spans = spans_from_numbers(range(1, 151), 20, extra=0)

    assert folds_or_skip(splitter, spans) == splitter.split(spans)
