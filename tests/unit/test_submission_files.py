"""What is handed to Numerai: names, order, quantiles, and what it would refuse."""

import pandas as pd
import pytest

from eraflow.errors import InputError
from eraflow.rounds import submission

TICKERS = [f"T{number:03}" for number in range(120)]


def live() -> pd.DataFrame:
    return pd.DataFrame({"id": [f"{ticker}_2024-05-03" for ticker in TICKERS], "prediction": range(120)})


def test_tickers_are_as_in_the_prices_where_numerais_are_not_known() -> None:
    found = submission.signals(live().sample(frac=1, random_state=1))
    assert list(found.columns) == ["ticker", "signal"]
    assert found["ticker"].tolist() == TICKERS
    assert found["signal"].tolist() == [(rank - 0.5) / 120 for rank in range(1, 121)]


def test_tickers_are_numerais_and_only_those_that_it_knows() -> None:
    found = submission.signals(live(), {ticker: f"{ticker} US" for ticker in TICKERS[10:]})
    assert list(found.columns) == ["numerai_ticker", "signal"]
    assert found["numerai_ticker"].tolist() == [f"{ticker} US" for ticker in TICKERS[10:]]
    assert found["signal"].tolist() == [(rank - 0.5) / 110 for rank in range(1, 111)]


def test_too_few_tickers_are_refused() -> None:
    with pytest.raises(InputError, match="the newest era has 99 tickers, Numerai Signals takes no fewer than 100"):
        submission.signals(live(), {ticker: ticker for ticker in TICKERS[21:]})
