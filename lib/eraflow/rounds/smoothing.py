"""Signals: what a signal has in common with the last effective ones, and a mix of both that changes less.

The server drops names outside the universe, ranks, and gives .5 to the names that are absent; the same is done here, so
that figures before sending are over the whole universe, as its own are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from numerai_tools.scoring import tie_kept_rank
from numerai_tools.signals import calculate_max_churn_and_turnover, calculate_mean_neutral_churn, neutral_churn_penalty
from numerai_tools.submissions import clean_submission

from eraflow.rounds.live import LiveFiles

COMPARED = 5  # effective signals before


@dataclass(frozen=True)
class Change:
    """Estimates of what Numerai will find a signal to have changed, against the last effective ones.

    Numerai's live neutralizers and weights are withheld, so factors of the live file and equal weights stand for them.
    """

    churn: float  # the largest
    turnover: float  # the largest
    neutral_churn: float  # the mean
    kept: float  # of a positive payout, by the mean neutral churn

    def line(self, churn_limit: float, turnover_limit: float) -> str:
        return (
            f"estimates against the past week: max churn {self.churn:.3f} (Numerai's limit {churn_limit:g}), max "
            f"turnover {self.turnover:.3f} (limit {turnover_limit:g}), mean neutral churn {self.neutral_churn:.3f}, "
            f"which keeps {self.kept:.0%} of a positive payout"
        )


def change(frame: pd.DataFrame, live: LiveFiles, earlier: Sequence[tuple[pd.DataFrame, LiveFiles]]) -> Change:
    """The change of a signal (`name, signal`) against `earlier` ones, each with the live files of its own round."""
    column = str(frame.columns[0])
    now = live.neutralizers(column)
    signals = {str(other.round.number): _series(signal) for signal, other in earlier}
    neutral = {str(other.round.number): other.neutralizers(str(signal.columns[0])) for signal, other in earlier}
    weights = {number: _equal(frame) for number, frame in neutral.items()}
    given = (_series(frame), now, _equal(now), signals, neutral, weights)
    churn, turnover = calculate_max_churn_and_turnover(*given)
    mean = calculate_mean_neutral_churn(*given)
    return Change(float(churn), float(turnover), float(mean), float(neutral_churn_penalty(mean)))


def mixed(frame: pd.DataFrame, last: pd.DataFrame, share: float, universe: pd.DataFrame) -> pd.DataFrame:
    """`share` of the last signal and the rest of this one, over the universe: ranks in (0, 1), sorted by name.

    Both are ranked, and .5 where a name is absent, first. Names that neither has are left out, as before.
    """
    name, column = map(str, frame.columns)
    ranked = [_ranked(each, name, universe) for each in (frame, last)]
    both = set(frame[name]) | set(_renamed(last, name, universe))
    mix = (1 - share) * ranked[0] + share * ranked[1]
    mix = mix[mix.index.isin(both)].sort_index()
    return pd.DataFrame({name: mix.index, column: tie_kept_rank(mix.to_frame()).iloc[:, 0].to_numpy()})


def mixed_eras(predictions: pd.DataFrame, share: float) -> pd.DataFrame:
    """`id, era, prediction` of eras in their order, each mixed with the mix of the era before, as rounds are.

    Ids are TICKER_DATE, and the tickers of an era are its universe; an era has one prediction an id.
    """
    found, last = [], None
    for _, rows in predictions.sort_values(["era", "id"]).groupby("era", sort=True):
        tickers = rows["id"].str.rsplit("_", n=1).str[0]
        signal = pd.DataFrame({"numerai_ticker": tickers, "signal": rows["prediction"]})
        if last is not None and last["numerai_ticker"].isin(tickers).any():
            signal = mixed(signal, last, share, signal[["numerai_ticker"]])
        last = signal
        found.append(rows.assign(prediction=tickers.map(signal.set_index("numerai_ticker")["signal"])))
    return pd.concat(found, ignore_index=True)[["id", "era", "prediction"]]


def _ranked(frame: pd.DataFrame, name: str, universe: pd.DataFrame) -> pd.Series[float]:
    source, column = map(str, frame.columns)
    found: pd.Series[float] = clean_submission(universe, frame, source, column, name, "signal", rank_and_fill=True)
    return found


def _renamed(frame: pd.DataFrame, name: str, universe: pd.DataFrame) -> pd.Series[str]:
    """The names of a signal as the column `name` of the universe has them."""
    source = str(frame.columns[0])
    if source == name:
        return frame[source]
    return frame[source].map(universe.drop_duplicates(source).set_index(source)[name]).dropna()


def _series(frame: pd.DataFrame) -> pd.Series[float]:
    found: pd.Series[float] = frame.drop_duplicates(frame.columns[0]).set_index(frame.columns[0]).iloc[:, 0]
    return found


def _equal(neutralizers: pd.DataFrame) -> pd.Series[float]:
    return pd.Series(1.0, index=neutralizers.index)


def limits(says: Mapping[str, object]) -> str:
    """What the server found a submission's churn and turnover to be; empty where it tells neither."""
    named = (("prevWeekChurnMax", "max churn"), ("prevWeekTurnoverMax", "max turnover"))
    found = [f"{label} {float(str(says[key])):.3f}" for key, label in named if says.get(key) is not None]
    return f"Numerai's own: {', '.join(found)}" if found else ""
