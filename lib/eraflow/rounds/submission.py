"""Predictions in the form that Numerai takes, checked by Numerai's own validation before they reach a disk."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from numerai_tools.submissions import (
    SIGNALS_MIN_TICKERS,
    validate_submission_numerai,
    validate_submission_signals,
)

from eraflow.errors import InputError


def signals(live: pd.DataFrame, names: Mapping[str, str] | None = None) -> pd.DataFrame:
    """`ticker, signal` of one era's predictions (`id, prediction`): quantiles in (0, 1), sorted by ticker.

    With `names`, Numerai's tickers by our own, `numerai_ticker, signal` of the tickers that have one. Raises InputError
    where Numerai would refuse the file: too few tickers, or one signal for all.
    """
    tickers, column = live["id"].str.rsplit("_", n=1).str[0], "ticker"
    if names is not None:
        tickers, column = tickers.map(names), "numerai_ticker"
    is_mapped = tickers.notna()
    frame = pd.DataFrame({column: tickers[is_mapped], "signal": _quantiles(live.loc[is_mapped, "prediction"])})
    frame = frame.sort_values(column, ignore_index=True)
    check_size(len(frame))
    try:
        validate_submission_signals(frame[[column]], frame.copy())
    except AssertionError as error:
        raise InputError(f"the predictions of the newest era make no valid submission: {error}.") from None
    return frame


def classic(live: pd.DataFrame) -> pd.DataFrame:
    """`id, prediction` of the live rows' predictions (`id, prediction`): quantiles in (0, 1), sorted by id.

    Raises InputError where Numerai would refuse the file: no rows, or one prediction for all.
    """
    frame = pd.DataFrame({"id": live["id"], "prediction": _quantiles(live["prediction"])})
    frame = frame.sort_values("id", ignore_index=True)
    check_rows(len(frame))
    try:
        validate_submission_numerai(frame["id"], frame.copy())
    except AssertionError as error:
        raise InputError(f"the predictions of the live rows make no valid submission: {error}.") from None
    return frame


def _quantiles(x: pd.Series[float]) -> pd.Series[float]:
    return (x.rank(method="average") - 0.5) / len(x)


def check_rows(rows: int) -> None:
    """Raises InputError where there is nothing to submit."""
    if rows < 2:
        raise InputError(f"live.parquet has {rows} rows, too few to rank; download it again.")


def check_size(tickers: int) -> None:
    """Raises InputError where Numerai would find the newest era too small."""
    if tickers < SIGNALS_MIN_TICKERS:
        raise InputError(
            f"the newest era has {tickers} tickers, Numerai Signals takes no fewer than {SIGNALS_MIN_TICKERS}; "
            "give prices of more tickers."
        )
