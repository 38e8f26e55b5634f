"""Tickers in different notations, and maps with the faults that published ones have."""

from datetime import date

import pandas as pd
import pytest

from eraflow.sources import lives, notation
from eraflow.sources.ticker_map import OPEN, Fault, Line, Named, resolved


def same(*names: str, among: tuple[str, ...] = ()) -> bool:
    return len({notation.keys([name, *among])[name] for name in names}) == 1


@pytest.mark.parametrize(
    "names",
    [
        ("BRK.B", "BRK-B", "BRK/B US", "BRK_B", "brk/b us equity", "BRK-B.US"),
        ("AAPL", "AAPL US", "AAPL.US", "AAPL UW", "AAPL US Equity"),
        ("7203.T", "7203 JP", "7203 JT", "7203.TSE"),
        ("000060 KS", "000060 KR", "000060.KS"),
        ("0005.HK", "5 HK", "0005 HK"),
        ("BP/ LN", "BP.L", "BP.LON", "BP GB"),
        ("BT/A LN", "BT-A.L"),
        ("ABX/ CT", "ABX.TO", "ABX-.TRT"),
        ("ERICB SS", "ERIC-B.ST", "ERICB SE"),
        ("AC* MF", "AC.MX", "AC MX"),
        ("SAP GY", "SAP.DE", "SAP.XETRA", "SAP DE"),
    ],
)
def test_notations_of_one_ticker_meet(names: tuple[str, ...]) -> None:
    assert same(*names)


@pytest.mark.parametrize(
    "names", [("BRK.A", "BRK.B"), ("T", "T.TO"), ("5 HK", "5 JP"), ("0060", "60"), ("NA", "NA CN"), ("A B", "AB")]
)
def test_other_tickers_stay_apart(names: tuple[str, str]) -> None:
    assert not same(*names, among=("SAP GY",))


def test_a_code_of_bloombergs_and_of_isos_is_what_the_other_names_tell() -> None:
    bloomberg = notation.keys(["RY CN", "BP/ LN", "RYA ID", "TEVA IT"])
    iso = notation.keys(["600519 CN", "BP GB", "ENI IT", "BBCA ID"])

    assert [bloomberg[name] for name in ("RY CN", "RYA ID", "TEVA IT")] == ["RY CA", "RYA IE", "TEVA IL"]
    assert [iso[name] for name in ("600519 CN", "BBCA ID", "ENI IT")] == ["600519 CN", "BBCA ID", "ENI IT"]


def table(*lines: tuple[str, ...], kind: str = "numerai_ticker") -> pd.DataFrame:
    rows = [(*line, *OPEN)[:4] if len(line) == 2 else line for line in lines]
    return pd.DataFrame(rows, columns=["ticker", "theirs", "first", "last"]).assign(kind=kind)


def names(*tickers: str) -> list[Named]:
    return [Named(ticker) for ticker in tickers]


def test_without_a_map_names_meet_by_their_notation() -> None:
    prices = ["AAPL", "BRK-B", "BRK-A", "7203.T", "NA", "X.Y", "X-Y"]
    lines, faults = resolved(prices, names("AAPL US", "BRK/B US", "7203 JP", "NA US", "MSFT US", "X/Y US"), None)

    assert [(line.ticker, line.numerai_ticker) for line in lines] == [
        ("7203.T", "7203 JP"), ("AAPL", "AAPL US"), ("BRK-B", "BRK/B US"), ("NA", "NA US"),
    ]  # fmt: skip
    assert faults == []  # X/Y US may be either of two


def test_a_map_with_the_faults_of_real_ones_is_read_and_each_is_told() -> None:
    mapped = table(
        ("AAPL", "AAPL US"), ("", "MSFT US"), ("MSFT", ""), ("SYMBOL_NOT_FOUND", "ACB/ CA"), ("AAPL", "AAPL US"),
        ("GOOG", "AAPL US"), ("BRK-B", "BRK/B US"), ("000060.KS", "000060 KS"), ("NULL", "NULL US"), ("A_B", "A_B US"),
    )  # fmt: skip
    prices = ["AAPL", "GOOG", "BRK.B", "000060.KS", "A_B"]

    lines, faults = resolved(prices, names("AAPL US", "BRK/B US", "000060 KR", "A_B US"), mapped)

    assert lines == [
        Line("AAPL", "AAPL US", rank=0),
        Line("BRK.B", "BRK/B US", rank=6),
        Line("000060.KS", "000060 KR", rank=7),
        Line("A_B", "A_B US", rank=9),
    ]
    assert faults == [
        Fault("map: empty", None, "MSFT US"),
        Fault("map: empty", "MSFT", None),
        Fault("map: empty", "SYMBOL_NOT_FOUND", "ACB/ CA"),
        Fault("map: repeated", "AAPL", "AAPL US"),
        Fault("map: contradiction", "GOOG", "AAPL US"),
        Fault("map: no price", "NULL", "NULL US"),
    ]


def test_a_renamed_ticker_has_one_line_for_each_time() -> None:
    last = date(2022, 6, 8)
    mapped = table(
        ("FB", "META US", OPEN[0], last), ("META", "META US", date(2022, 6, 9), OPEN[1]), ("META", "FB US"),
    )  # fmt: skip

    lines, faults = resolved(["FB", "META"], names("META US", "FB US"), mapped)

    assert faults == []
    assert lines == [
        Line("FB", "META US", OPEN[0], last, 0),
        Line("META", "META US", date(2022, 6, 9), OPEN[1], 1),
        Line("META", "FB US", *OPEN, 2),
    ]


def test_a_composite_figi_is_carried_by_numerais_name() -> None:
    """Numerai gives FIGIs since September 2022; FB's name ended before, ABC's is another company's since 2024."""
    since, later = date(2022, 9, 2), date(2024, 1, 5)
    named = [
        Named("META US", "BBG000MM2P62", since), Named("META US", None, date(2022, 6, 10)), Named("FB US", None),
        Named("ABC US", "BBG000000001", since), Named("ABC US", "BBG000000002", later),
    ]  # fmt: skip
    mapped = table(("META", "BBG000MM2P62"), ("OLD", "BBG000000001"), ("NEW", "BBG000000002"), kind="composite_figi")

    lines, faults = resolved(["META", "OLD", "NEW"], named, mapped)

    prices_by_figi, _ = resolved(["BBG000000001", "FB"], named, None)
    assert prices_by_figi == [Line("BBG000000001", "ABC US", OPEN[0], date(2024, 1, 4)), Line("FB", "FB US")]
    assert faults == []
    assert lines == [
        Line("META", "META US", *OPEN, 0),
        Line("OLD", "ABC US", OPEN[0], date(2024, 1, 4), 1),
        Line("NEW", "ABC US", later, OPEN[1], 2),
    ]


def test_an_id_is_told_by_the_name_in_the_files() -> None:
    ids = pd.Series(["A_B_2026-01-02", "ABC@2015-03-02_2026-01-02", "A@B_2026-01-02"])

    assert lives.named(ids).tolist() == ["A_B_2026-01-02", "ABC_2026-01-02", "A@B_2026-01-02"]
