"""Purged cross-validation over eras: which eras a fold trains on, which it validates, which it drops.

Everything here works on the sorted eras, never on rows. What has to be dropped follows from the span of time over which
each era's labels run: a training label may not share a moment with a label of the validation run.

Every splitter has `purge`, the number of eras dropped next to a validation run, counted in era numbers (None derives it
from the labels; a number that lets labels meet is refused), and `embargo`, the number of further eras dropped after the
run and its purge where training follows. `split` raises `InputError` where too little is left to train on.
Examples take `spans_from_numbers` from `eraflow.spans`.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, combinations, pairwise
from operator import attrgetter

from eraflow.errors import InputError
from eraflow.spans import EraSpan


@dataclass(frozen=True)
class Fold:
    """One fold in era numbers, each tuple sorted; `number` counts from 1.

    `purged` eras are dropped because their labels meet the validation run's, or by the purge that was asked for;
    `embargoed` eras are dropped beyond these, where training follows the validation run.
    """

    number: int
    train: tuple[int, ...]
    validation: tuple[int, ...]
    purged: tuple[int, ...] = ()
    embargoed: tuple[int, ...] = ()

    def __str__(self) -> str:
        parts = {"train": self.train, "purged": self.purged, "embargoed": self.embargoed, "validation": self.validation}
        every = sorted(era for eras in parts.values() for era in eras)
        step = min((b - a for a, b in pairwise(every)), default=1)
        return f"{self.number}: " + " | ".join(f"{name} {_ranges(eras, step)}" for name, eras in parts.items() if eras)


@dataclass(frozen=True)
class WalkForward:
    """Train on the past, validate on the next block of eras, move on.

    The first block starts as soon as `min_train_eras` are left after the purge; from there on every era is validated
    exactly once, in consecutive blocks whose sizes differ by at most one. With a `period` blocks are of so many eras
    each, counted from the first, in place of `folds`: a new era lengthens the last block and changes no earlier fold.
    Trains on the last `window` unpurged eras, or on all of them (None). `embargo` is there as in every splitter and
    drops nothing: no training follows validation.

    Examples
    --------
    >>> for fold in WalkForward(3, min_train_eras=8).split(spans_from_numbers(range(1, 27), horizon_days=20, extra=0)):
    ...     print(fold)
    1: train 1-8 | purged 9-13 | validation 14-18
    2: train 1-13 | purged 14-18 | validation 19-22
    3: train 1-17 | purged 18-22 | validation 23-26
    """

    folds: int
    min_train_eras: int
    window: int | None = None
    purge: int | None = None
    embargo: int = 0
    period: int | None = None

    def __post_init__(self) -> None:
        _at_least(1, folds=self.folds, min_train_eras=self.min_train_eras, period=self.period)
        _at_least(0, purge=self.purge, embargo=self.embargo)
        _at_least(self.min_train_eras, window=self.window)

    def split(self, eras: Sequence[EraSpan]) -> list[Fold]:
        """Folds in the order of time."""
        spans = _ordered(eras, 1 if self.period else self.folds, "period" if self.period else "folds")
        folds = []
        for number, (low, high) in enumerate(self._blocks(self._first_validation(spans), len(spans)), 1):
            past, run = spans[:low], spans[low:high]
            purged = _touched(past, run, self.purge)
            train = [span.era for span in past if span.era not in purged]
            train = train[-self.window :] if self.window else train
            folds.append(Fold(number, tuple(train), tuple(span.era for span in run), tuple(sorted(purged))))
        return _finished(folds, spans, self.purge, self.min_train_eras)

    def _first_validation(self, spans: Sequence[EraSpan]) -> int:
        """Position of the first validated era: the earliest that leaves enough eras to train on."""
        latest = len(spans) - (1 if self.period else self.folds)
        kept, dropped = 0, 0
        for start in range(min(self.min_train_eras, latest), latest + 1):
            block = self._blocks(start, len(spans))[0]
            dropped = len(_touched(spans[:start], spans[slice(*block)], self.purge))
            kept = start - dropped
            if kept >= self.min_train_eras:
                return start
        raise InputError(
            f"too little history for the first fold: {kept} eras before the first validation era after a purge of"
            f" {dropped}, need validation.min_train_eras={self.min_train_eras}; lower it, or give a longer history."
        )

    def _blocks(self, start: int, end: int) -> list[tuple[int, int]]:
        """First position of each validation block, and the one after its last."""
        if self.period is None:
            return _blocks(start, end, self.folds)
        return [(low, min(low + self.period, end)) for low in range(start, end, self.period)]


@dataclass(frozen=True)
class BlockedKFold:
    """Each of `folds` contiguous blocks of eras is validated once, by a model trained on what lies before and after it.

    Purged on both sides. Trains on the future of what it validates: it compares models, it does not tell what trading
    would have earned. The sizes of the blocks differ by at most one.

    Examples
    --------
    >>> for fold in BlockedKFold(3, embargo=2).split(spans_from_numbers(range(1, 31), horizon_days=20, extra=0)):
    ...     print(fold)
    1: train 18-30 | purged 11-15 | embargoed 16-17 | validation 1-10
    2: train 1-5,28-30 | purged 6-10,21-25 | embargoed 26-27 | validation 11-20
    3: train 1-15 | purged 16-20 | validation 21-30
    """

    folds: int
    purge: int | None = None
    embargo: int = 0

    def __post_init__(self) -> None:
        _at_least(2, folds=self.folds)
        _at_least(0, purge=self.purge, embargo=self.embargo)

    def split(self, eras: Sequence[EraSpan]) -> list[Fold]:
        """Folds in the order of their validation blocks."""
        spans = _ordered(eras, self.folds, "folds")
        blocks = _blocks(0, len(spans), self.folds)
        folds = [_two_sided(n, spans, range(*block), self.purge, self.embargo) for n, block in enumerate(blocks, 1)]
        return _finished(folds, spans, self.purge)


@dataclass(frozen=True)
class CombinatorialPurged:
    """Every choice of `test_blocks` out of `blocks` contiguous blocks is validated once.

    C(blocks, test_blocks) folds, each run of adjacent test blocks purged on both sides; trains on the future as
    `BlockedKFold` does. Each era is validated C(blocks - 1, test_blocks - 1) times; `paths` joins these to as many
    whole backtests (Lopez de Prado 2018, chapter 12).

    Examples
    --------
    >>> splitter = CombinatorialPurged(blocks=3, test_blocks=2, purge=2)
    >>> for fold in splitter.split(spans_from_numbers(range(1, 31), horizon_days=5, extra=0)):
    ...     print(fold)
    1: train 23-30 | purged 21-22 | validation 1-20
    2: train 13-18 | purged 11-12,19-20 | validation 1-10,21-30
    3: train 1-8 | purged 9-10 | validation 11-30
    >>> splitter.paths()
    [(1, 1, 2), (2, 3, 3)]
    """

    blocks: int
    test_blocks: int
    purge: int | None = None
    embargo: int = 0

    def __post_init__(self) -> None:
        _at_least(1, test_blocks=self.test_blocks)
        _at_least(self.test_blocks + 1, folds=self.blocks)
        _at_least(0, purge=self.purge, embargo=self.embargo)

    def split(self, eras: Sequence[EraSpan]) -> list[Fold]:
        """Folds in lexicographic order of their test blocks."""
        spans = _ordered(eras, self.blocks, "folds")
        blocks = _blocks(0, len(spans), self.blocks)
        folds = [
            _two_sided(n, spans, [at for b in chosen for at in range(*blocks[b])], self.purge, self.embargo)
            for n, chosen in enumerate(self._choices(), 1)
        ]
        return _finished(folds, spans, self.purge)

    def paths(self) -> list[tuple[int, ...]]:
        """Number of the fold that predicts each block, one tuple of length `blocks` for each backtest path."""
        choices = self._choices()
        folds_of = [[at + 1 for at, chosen in enumerate(choices) if b in chosen] for b in range(self.blocks)]
        return list(zip(*folds_of, strict=True))

    def _choices(self) -> list[tuple[int, ...]]:
        return list(combinations(range(self.blocks), self.test_blocks))


def watched_block(eras: Sequence[EraSpan], count: int, purge: int | None = None) -> tuple[list[int], list[int]]:
    """The eras to learn from, and the last `count` of them, to be watched for when to stop: purged from each other.

    A `purge` of so many eras is taken beside what the labels ask for.
    InputError where nothing is left to learn from.
    """
    past, run = eras[:-count], eras[-count:]
    purged = _touched(past, run, None) | _touched(past, run, purge or 0) if past else set[int]()
    learned = [span.era for span in past if span.era not in purged]
    if not learned:
        raise InputError(
            f"early_stopping_eras={count}, and {len(purged)} eras purged before them, leave none of {len(eras)} to "
            "learn from; lower it, or give a longer history."
        )
    return learned, [span.era for span in run]


def purged(fold: Fold, spans: Sequence[EraSpan], purge: int | None = None) -> Fold:
    """The fold without the training eras whose labels, by these spans, meet a validation label.

    For a model that learns longer labels than those that folds were made for. InputError where nothing is left, or
    where a `purge` that was asked for lets them meet.

    Examples
    --------
    >>> fold = Fold(1, tuple(range(1, 15)), tuple(range(20, 26)), tuple(range(15, 20)))
    >>> print(purged(fold, spans_from_numbers(range(1, 26), horizon_days=60, extra=0)))
    1: train 1-6 | purged 7-19 | validation 20-25
    """
    span_of = {span.era: span for span in spans}
    met = {era for era in fold.train if _leak(replace(fold, train=(era,)), span_of)}
    if met and purge is not None:
        raise InputError(
            f"its labels are longer: fold {fold.number} would train on era {max(met)} while a label of it runs; raise "
            f"validation.purge={purge}, or leave it out."
        )
    left = tuple(era for era in fold.train if era not in met)
    if not left:
        raise InputError(
            f"its labels are longer: fold {fold.number} has no era left to train on; raise validation.min_train_eras, "
            "or give a longer history."
        )
    return replace(fold, train=left, purged=tuple(sorted({*fold.purged, *met})))


def check(folds: Sequence[Fold], spans: Sequence[EraSpan]) -> None:
    """Refuse folds in which a training label meets a validation label, or whose parts are empty, unsorted or overlap.

    Compares labels pair by pair, without regard to how the folds were made; the `InputError` names fold and eras.
    """
    span_of = {span.era: span for span in _ordered(spans)}
    for fold in folds:
        parts = (fold.train, fold.validation, fold.purged, fold.embargoed)
        every = [era for part in parts for era in part]
        if not (fold.train and fold.validation):
            raise InputError(f"fold {fold.number} has nothing to train on or nothing to validate; ask for fewer folds.")
        if unknown := sorted(set(every) - span_of.keys()):
            raise InputError(f"fold {fold.number} has era {unknown[0]}, whose label's span is not known.")
        if len(set(every)) < len(every) or any(list(part) != sorted(part) for part in parts):
            raise InputError(f"fold {fold.number} has an era in two parts, or eras out of order: {fold}.")
        if leak := _leak(fold, span_of):
            raise InputError(f"{leak}; widen the gap between training and validation.")


def hold_out(eras: Sequence[EraSpan], count: int, purge: int | None = None) -> tuple[tuple[EraSpan, ...], Fold | None]:
    """What folds may see, and the fold (number 0) that trains on it, purged, and validates the last `count` eras.

    No fold where `count` is 0. InputError where too few eras are left to train on.

    Examples
    --------
    >>> seen, holdout = hold_out(spans_from_numbers(range(1, 21), horizon_days=20, extra=0), 5)
    >>> print(f"folds see {len(seen)} eras; {holdout}")
    folds see 15 eras; 0: train 1-10 | purged 11-15 | validation 16-20
    """
    spans = _ordered(eras, count, "holdout")
    if count == 0:
        return spans, None
    seen, run = spans[:-count], spans[-count:]
    purged = _touched(seen, run, purge)
    train = tuple(span.era for span in seen if span.era not in purged)
    fold = Fold(0, train, tuple(span.era for span in run), tuple(sorted(purged)))
    return seen, _finished([fold], spans, purge)[0]


def _leak(fold: Fold, span_of: dict[int, EraSpan]) -> str | None:
    """Tells of the last training era whose label meets a validation label, or of none."""
    validated = sorted((span_of[era] for era in fold.validation), key=attrgetter("first"))
    starts = [span.first for span in validated]
    latest = list(accumulate((span.last for span in validated), max))
    for train in (span_of[era] for era in reversed(fold.train)):
        started = bisect_right(starts, train.last)
        if started and latest[started - 1] >= train.first:
            met = next(span for span in validated[:started] if span.last >= train.first)
            return (
                f"fold {fold.number} would train on era {train.era} (label until {train.end}) while era {met.era} is"
                f" validated (from {met.start})"
            )
    return None


def _finished(folds: list[Fold], spans: Sequence[EraSpan], purge: int | None, least: int = 1) -> list[Fold]:
    """The folds, once they are known to be sound; tells a purge that was set too small from any other fault."""
    span_of = {span.era: span for span in spans}
    for fold in folds:
        if len(fold.train) < least:
            raise InputError(
                f"too little history: fold {fold.number} trains on {len(fold.train)} eras, need {least}, after a purge"
                f" of {len(fold.purged)} and an embargo of {len(fold.embargoed)}; ask for fewer folds, give more eras."
            )
        if purge is not None and (leak := _leak(fold, span_of)):
            reach = max(b.era - a.era for a in spans for b in spans if a.first <= b.last and b.first <= a.last)
            raise InputError(
                f"the labels run over {reach} eras but validation.purge is {purge}: {leak};"
                f" set validation.purge to at least {reach} or leave it out."
            )
    check(folds, spans)
    return folds


def _touched(candidates: Sequence[EraSpan], run: Sequence[EraSpan], purge: int | None) -> set[int]:
    """Eras among the candidates that a validation run drops: by their labels, or by distance if a purge is given."""
    if purge is not None:
        return {span.era for span in candidates if run[0].era - purge <= span.era <= run[-1].era + purge}
    first, last = min(span.first for span in run), max(span.last for span in run)
    return {span.era for span in candidates if span.first <= last and first <= span.last}


def _two_sided(n: int, spans: Sequence[EraSpan], positions: Sequence[int], purge: int | None, embargo: int) -> Fold:
    """Fold that validates the eras at the given positions and trains on what purge and embargo leave around them."""
    validated = {spans[at].era for at in positions}
    others = [span for span in spans if span.era not in validated]
    purged, later = set[int](), set[int]()
    for low, high in _runs(positions, 1):
        touched = _touched(others, spans[low : high + 1], purge)
        edge = spans[high].era + (purge or 0)
        for span in spans[high + 1 :]:
            if span.era not in touched:
                break
            edge = max(edge, span.era)
        purged |= touched
        if embargo:
            later |= {span.era for span in others if spans[high].era < span.era <= edge + embargo}
    train = [span.era for span in others if span.era not in purged | later]
    return Fold(n, *(tuple(sorted(eras)) for eras in (train, validated, purged, later - purged)))


def _ordered(eras: Sequence[EraSpan], least: int = 0, name: str = "") -> tuple[EraSpan, ...]:
    """The same spans, once there are enough, their eras ascend and their moments are of one kind."""
    if len(eras) < least:
        raise InputError(
            f"validation.{name} is {least} but there are only {len(eras)} eras; lower it or give more eras."
        )
    for before, after in pairwise(eras):
        if after.era <= before.era:
            raise InputError(f"era {after.era} is listed after era {before.era}; sort the eras and list each one once.")
        if type(after.start) is not type(before.start):
            raise InputError(f"the labels of eras {before.era} and {after.era} mix dates and numbers; give one kind.")
    return tuple(eras)


def _at_least(least: int, **settings: int | None) -> None:
    for name, value in settings.items():
        if value is not None and value < least:
            raise InputError(f"validation.{name} is {value}; it must be at least {least}.")


def _blocks(start: int, stop: int, number: int) -> list[tuple[int, int]]:
    """Half-open ranges of positions that cover `start` to `stop`, the remainder spread over the first ones."""
    size, rest = divmod(stop - start, number)
    return list(pairwise(start + index * size + min(index, rest) for index in range(number + 1)))


def _runs(numbers: Sequence[int], step: int) -> list[tuple[int, int]]:
    """First and last of each run of sorted numbers in which neighbours are no further apart than `step`."""
    breaks = [at for at, (a, b) in enumerate(pairwise(numbers), 1) if b - a > step]
    edges = [0, *breaks, len(numbers)] if numbers else []
    return [(numbers[low], numbers[high - 1]) for low, high in pairwise(edges)]


def _ranges(eras: Sequence[int], step: int) -> str:
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in _runs(eras, step))
