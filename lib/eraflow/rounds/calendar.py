"""Rounds as Numerai's API describes them: when they open and close, and what they pay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any


class Stage(Enum):
    """Where a round stands at a moment."""

    UPCOMING = "upcoming"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True)
class Pay:
    """One score that a round pays: its name at Numerai, its multiplier, and the limit of the payout, if known."""

    name: str
    multiplier: float
    clip: float | None
    days: int | None  # over which it is scored

    def __str__(self) -> str:
        clip = f" within ±{self.clip:g}" if self.clip is not None else ""
        return f"{self.multiplier:g} × {self.name}{clip}"


@dataclass(frozen=True)
class Round:
    """A round of a tournament. Times are in UTC; `close` ends what can be staked, and so what is sent."""

    tournament: str
    number: int
    opens: datetime
    closes: datetime
    data_date: str | None  # of the live rows, YYYY-MM-DD, where the API tells it
    pays: tuple[Pay, ...]

    def stage(self, now: datetime, margin: float = 0.0) -> Stage:
        """Where the round stands; `margin` seconds before its close it counts as closed."""
        if now < self.opens:
            return Stage.UPCOMING
        return Stage.OPEN if now < self.closes - timedelta(seconds=margin) else Stage.CLOSED

    @property
    def day_before(self) -> str:
        """The day before it opens, YYYY-MM-DD: that of the live rows where the API does not tell it."""
        return (self.opens - timedelta(days=1)).date().isoformat()

    @property
    def paid(self) -> str:
        """What the round pays, in words, as the API has it."""
        return " + ".join(map(str, self.pays)) or "nothing that the API tells"

    def __str__(self) -> str:
        return f"{self.tournament} round {self.number}"


def of_api(tournament: str, answer: Mapping[str, Any]) -> Round:
    """The round that `rounds(...)` describes, its times parsed. ValueError where number, opening or close is absent."""
    opens, closes = answer.get("openTime"), answer.get("closeStakingTime")
    if answer.get("number") is None or opens is None or closes is None:
        raise ValueError("a round without number, openTime or closeStakingTime")
    stamp = answer.get("dataDatestamp")
    digits = str(stamp or "")
    data_date = f"{digits[:4]}-{digits[4:6]}-{digits[6:]}" if len(digits) == 8 else None
    return Round(
        tournament,
        int(answer["number"]),
        utc(opens),
        utc(closes),
        data_date,
        _pays(answer.get("roundScoreConfigs") or ()),
    )


def _pays(configs: Sequence[Mapping[str, Any]]) -> tuple[Pay, ...]:
    """The scores that are paid with a multiplier other than 0, in the API's order."""
    paid = [config for config in configs if config.get("isPayout") and _number(config.get("defaultMultiplier"))]
    return tuple(
        Pay(
            str(config.get("displayName") or config.get("name")),
            _number(config["defaultMultiplier"]) or 0.0,
            _number(config.get("clipThreshold")),
            config.get("totalScoreDays"),
        )
        for config in paid
    )


def utc(moment: datetime) -> datetime:
    """The moment in UTC, which a time without a zone is taken to be in."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _number(value: object) -> float | None:
    """A number that the API may write as text."""
    return None if value is None else float(str(value).replace(",", ""))
