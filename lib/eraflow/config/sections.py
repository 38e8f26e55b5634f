"""The sections of the configuration, but those of models, ensembles, networks and scores."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, StringConstraints, field_validator, model_validator

from eraflow.config.base import Fraction, PositiveInt, Section


def _as_text(value: object) -> object:
    """A number or a date as the text that stands for it: YAML takes a round's number for one."""
    return str(value) if isinstance(value, int | float | date) and not isinstance(value, bool) else value


class Run(Section):
    """Where a run goes, and its seed."""

    # The name becomes a folder and may come from a command line, so it can hold no path.
    name: Annotated[str, BeforeValidator(_as_text), StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    dir: str
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    submission: str | None


class Tables(Section):
    """Where the Delta tables are."""

    root: str
    era_block: PositiveInt
    wait: Annotated[float, Field(ge=0)]  # seconds
    keep_days: Annotated[int, Field(ge=0)]


class PriceColumns(Section):
    """The names that the price files use."""

    ticker: str
    date: str
    open: str
    high: str
    low: str
    close: str
    adjusted_close: str | None
    volume: str
    sector: str | None
    country: str | None
    currency: str | None
    dividend: str | None
    split: str | None


PriceFormat = Literal[
    "auto", "eraflow", "yfinance", "alphavantage", "stooq", "eodhd", "polygon", "tiingo", "sharadar", "coinmarketcap",
    "nasdaq", "investing", "nse",
]  # fmt: skip


class Prices(Section):
    """Daily prices from files."""

    path: str | None
    format: PriceFormat
    columns: PriceColumns
    ticker_from: str | None
    date_format: str | None
    timezone: str | None
    numbers: Literal["plain", "english", "continental"] | None
    adjusted: Literal["none", "splits", "all-with-close", "all"] | None
    actions: str | None
    min_tickers: PositiveInt
    universe: str | None
    rates: str | None
    note: str | None

    @field_validator("ticker_from")
    @classmethod
    def _has_a_group(cls, pattern: str | None) -> str | None:
        try:
            if pattern is not None and re.compile(pattern).groups < 1:
                raise ValueError("no part of the pattern is in parentheses; put the ticker's in them, e.g. (.+)_daily")
        except re.error as error:
            raise ValueError(f"it is no regular expression ({error})") from None
        return pattern

    @field_validator("date_format")
    @classmethod
    def _says_a_day(cls, form: str | None) -> str | None:
        if form is None:
            return form
        day = datetime(2021, 11, 23, 16, 5, 7)
        try:
            is_day = datetime.strptime(day.strftime(form), form).date() == day.date()
        except ValueError:
            is_day = False
        if not is_day:
            raise ValueError("it names no day; write it as Python's strptime does, e.g. %m/%d/%Y or %b %d, %Y")
        return form

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, name: str | None) -> str | None:
        try:
            if name is not None:
                ZoneInfo(name)
        except (ValueError, OSError, KeyError):
            raise ValueError("there is no such time zone; name one as America/New_York or Asia/Tokyo") from None
        return name


class MappingColumns(Section):
    """The names that the map of tickers uses."""

    ticker: str | None
    numerai: str | None


class Signals(Section):
    """Numerai Signals' own files."""

    path: str | None
    mapping: str | None
    mapping_columns: MappingColumns
    features: tuple[str, ...]

    @model_validator(mode="after")
    def _used(self) -> Signals:
        if len(set(self.features)) < len(self.features):
            raise ValueError("a feature is named twice")
        if self.path is None and (self.features or self.mapping):
            raise ValueError("features or a mapping are named, but no path")
        return self


Policy = Literal["keep", "mask", "drop"]
FaultPolicy = Literal["set_aside", "drop", "refuse"]


class Quality(Section):
    """What becomes of suspicious prices and of faulty rows, by check."""

    gap: Literal["keep", "mask"]
    zero_volume: Policy
    stale: Policy
    jump: Policy
    adjustment: Policy
    contradiction: Policy
    incomplete: FaultPolicy
    impossible: FaultPolicy
    zero_range: FaultPolicy
    repeated: FaultPolicy
    refuse_share: Annotated[float, Field(ge=0.0, le=1.0)]

    @property
    def policies(self) -> dict[str, str]:
        """The policy of each check."""
        return self.model_dump(exclude={"refuse_share"})


class Synthetic(Section):
    """An invented universe."""

    sectors: PositiveInt
    tickers_per_sector: Annotated[int, Field(ge=3)]
    days: PositiveInt
    start: date
    momentum: Annotated[float, Field(ge=0.0, le=0.5)]
    network: Annotated[float, Field(ge=0.0, le=0.5)]
    seed: Annotated[int, Field(ge=0)]


Names = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]


class Classic(Section):
    """Numerai Classic's files."""

    path: str | None
    dataset: str | None
    features: Annotated[Names, Field(min_length=1)]
    read_fast: tuple[str, ...]
    paid_target: str

    @model_validator(mode="after")
    def _named_once(self) -> Classic:
        if any(len(set(names)) < len(names) for names in (self.features, self.read_fast)):
            raise ValueError("a feature set is named twice")
        return self


class ClassicSynthetic(Section):
    """An invented data set in the shape of Numerai Classic."""

    train_eras: PositiveInt
    validation_eras: PositiveInt
    rows_per_era: Annotated[int, Field(ge=20)]
    features: PositiveInt
    metadata: str | None
    signal: Annotated[float, Field(ge=0.0)]
    absent: Literal["nulls", "twos", "both"]
    seed: Annotated[int, Field(ge=0)]


class Features(Section):
    """Which features are built, and how they are ranked."""

    set: str
    engine: Literal["windows", "kernels"]
    ranks: Annotated[tuple[Literal["universe", "sector", "country", "neutral"], ...], Field(min_length=1)]
    neutral_to: tuple[str, ...]
    interactions: tuple[tuple[str, str], ...]
    traded_money: Literal["sound", "always", "never"]

    @model_validator(mode="after")
    def _named_once(self) -> Features:
        named = (self.ranks, self.neutral_to, [tuple(sorted(pair)) for pair in self.interactions])
        if any(len(set(names)) < len(names) for names in named):
            raise ValueError("a rank, an exposure or an interaction is named twice")
        return self


class Targets(Section):
    """Which returns are learned, and what they are made neutral to."""

    horizons: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    lag: Annotated[int, Field(ge=0)]
    main: str
    signals: tuple[str, ...]
    exposures: tuple[str, ...]

    @property
    def names(self) -> dict[str, int]:
        """Target name -> horizon in trading days."""
        computed = {f"target_{kind}_{h}": h for h in self.horizons for kind in ("raw", "sector", "neutral")}
        return computed | {name: int(name.rpartition("_")[2]) for name in self.signals}

    @model_validator(mode="after")
    def _signals_have_a_horizon(self) -> Targets:
        ends = tuple(f"_{horizon}" for horizon in self.horizons)
        for name in self.signals:
            if not (name.startswith("target_") and name.endswith(ends)):
                raise ValueError(
                    f"signals holds {name!r}; name targets that end with one of {', '.join(ends)} (horizons)"
                )
        return self

    @model_validator(mode="after")
    def _named_once(self) -> Targets:
        if len(set(self.horizons)) < len(self.horizons) or len(set(self.exposures)) < len(self.exposures):
            raise ValueError("a horizon or an exposure is named twice")
        return self


class Validation(Section):
    """How eras are split."""

    splitter: Literal["walk_forward", "blocked_kfold", "combinatorial_purged"]
    folds: PositiveInt | None
    period: PositiveInt | None
    test_blocks: PositiveInt
    min_train_eras: PositiveInt
    window: PositiveInt | None
    purge: Annotated[int, Field(ge=0)] | None
    embargo: Annotated[int, Field(ge=0)]
    holdout: Annotated[int, Field(ge=0)]
    holdout_from: PositiveInt | date | None

    @model_validator(mode="after")
    def _folds_are_cut_in_one_way(self) -> Validation:
        if self.period is not None and self.splitter != "walk_forward":
            raise ValueError(
                f"period is for walk_forward, and splitter={self.splitter} cuts all eras into folds; say null"
            )
        if self.folds is not None and self.period is not None:
            raise ValueError(
                f"folds={self.folds} and period={self.period} both say where a fold ends; set one of them to null"
            )
        if self.folds is None and self.period is None:
            raise ValueError("neither folds nor period says where a fold ends; give one of them")
        return self

    @model_validator(mode="after")
    def _holdout_is_named_once(self) -> Validation:
        if self.holdout and self.holdout_from is not None:
            raise ValueError("holdout and holdout_from both name eras to hold back; keep one of them")
        return self


class Sampling(Section):
    """What models learn from."""

    every: PositiveInt
    offset: Annotated[int, Field(ge=0)]
    recent: PositiveInt | None
    rows: Fraction
    half_life: Annotated[float, Field(gt=0.0)] | None

    @model_validator(mode="after")
    def _offset_is_one_of_every(self) -> Sampling:
        if self.offset >= self.every:
            raise ValueError(f"offset is {self.offset}; it must be below every={self.every}")
        return self

    def eras(self, eras: Sequence[int]) -> list[int]:
        """Those of the sorted eras that are learned from: by their numbers, so that folds agree on them."""
        recent = eras[-self.recent :] if self.recent else eras
        return [era for era in recent if era % self.every == self.offset]

    def __str__(self) -> str:
        parts = [f"era numbers that leave {self.offset} when divided by {self.every}"] if self.every > 1 else []
        parts += [f"the last {self.recent} eras"] if self.recent else []
        parts += [f"{self.rows:.0%} of the rows"] if self.rows < 1.0 else []
        parts = [", ".join(parts) or "all rows"]
        parts += [f"a row weighs half of one that is {self.half_life:g} eras younger"] if self.half_life else []
        return "models learn from " + "; ".join(parts)
