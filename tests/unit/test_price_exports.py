"""Files of every kind of export, read as tasks read them: kinds, dialects of CSV, writers of parquet, names, faults."""

import gzip
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal
from tests.exports import FIVE, KINDS, ZONES, expected, midnights, named, quoted, truth, wide, written

from eraflow.config import Config, load
from eraflow.errors import InputError
from eraflow.features import sets
from eraflow.pipeline import traded_money
from eraflow.sources.files import opened_here
from eraflow.sources.price_files import parts_of, surveyed, typed_rows
from eraflow.sources.price_tables import Part

COLUMNS = ["ticker", "date", *FIVE, "adjusted_close"]
ALL = "prices.adjusted=all"  # closes without dividends and splits are taken as they are


@cache
def config_of(*settings: str) -> Config:
    return load(["signals.yml"], settings)


def survey_of(path: object, *settings: str) -> Any:
    config = config_of(*settings).prices.model_copy(update={"path": f"file:{path}"})
    nobody: Any = None  # Spark is asked about other stores only
    return surveyed(nobody, config)


def rows_of(path: object, *settings: str) -> pd.DataFrame:
    """All that tasks give of the files at a path, sorted by ticker and date."""
    parts = []
    for group in survey_of(path, *settings).groups:
        for source in group.files:
            with opened_here(source.path) as file:
                parts += typed_rows(Part(source.path), file, group)
    frame = pa.Table.from_batches(parts).to_pandas()
    return frame.assign(date=pd.to_datetime(frame["date"])).sort_values(["ticker", "date"], ignore_index=True)


def prices_of(path: object, *settings: str) -> pd.DataFrame:
    """The prices alone, where nothing was unreadable."""
    found = rows_of(path, *settings)
    assert found["unreadable"].isna().all()
    return found[COLUMNS]


def same(found: pd.DataFrame, wanted: pd.DataFrame) -> None:
    wanted = wanted.sort_values(["ticker", "date"], ignore_index=True)[COLUMNS]
    assert_frame_equal(found, wanted, check_dtype=False, check_exact=True)


def refusal(path: object, *settings: str) -> str:
    with pytest.raises(InputError) as caught:
        rows_of(path, *settings)
    return str(caught.value).replace(f"{Path(str(path)).parent}/", "")


def ours(ticker: str = "A", **more: object) -> pd.DataFrame:
    """A file in eraflow's own form."""
    return truth(ticker).assign(ticker=ticker, sector="tech", **more)


@pytest.mark.parametrize("name", KINDS)
def test_an_export_is_read_as_it_is(tmp_path: Path, name: str) -> None:
    kind = KINDS[name]
    found = prices_of(written(kind, tmp_path), *([] if kind.adjusted else [ALL]))
    wanted = expected(kind)
    same(found, wanted if kind.adjusted else wanted.assign(adjusted_close=wanted["close"]))


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.adjusted is None])
def test_prices_without_dividends_and_splits_are_refused(tmp_path: Path, name: str) -> None:
    path = written(KINDS[name], tmp_path)
    said = "would be wrong at each of them; name a file of ticker, date, dividend, split with --set prices.actions=FILE"
    assert said in refusal(path)


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_can_be_named(tmp_path: Path, name: str) -> None:
    kind, settings = KINDS[name], [f"prices.format={name.partition(',')[0]}", ALL]
    assert len(prices_of(written(kind, tmp_path), *settings)) == 12


def test_what_was_recognised_is_told(tmp_path: Path) -> None:
    for name in ("yfinance", "eodhd", "tiingo"):
        written(KINDS[name], tmp_path)
    written(KINDS["yfinance"], tmp_path / "other")
    survey = survey_of(tmp_path)
    assert sorted(survey.messages) == [
        "prices: 1 file is read as eodhd (prices.adjusted: none)",
        "prices: 1 file is read as tiingo (prices.adjusted: none)",
        "prices: 2 files are read as yfinance (prices.adjusted: all)",
    ]
    assert not survey.multiplies
    assert survey_of(written(KINDS["sharadar"], tmp_path / "third")).multiplies


def test_an_adjusted_close_that_is_missing_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    ours().drop(columns="adjusted_close").to_csv(path, index=False)
    assert refusal(path).startswith(
        "a.csv has no column 'adjusted_close' (prices.columns.adjusted_close) and no dividends and no splits, so that "
        "returns of its prices as traded would be wrong at each of them; "
    )
    closes = ours().assign(adjusted_close=truth("A")["close"])
    same(prices_of(path, ALL), closes)


def test_a_mapping_of_the_users_own_wins(tmp_path: Path) -> None:
    path = written(KINDS["sharadar"], tmp_path)
    text = path.read_text().replace("closeunadj", "traded")
    path.write_text(text)
    assert "has no column 'sector'" in refusal(path)
    settings = ["prices.format=sharadar", "prices.columns.high=low", "prices.columns.sector=ticker"]
    found = rows_of(path, *settings)
    assert found["high"].tolist() == found["low"].tolist()
    assert set(found["sector"]) == {"SHAR"}


def test_several_tickers_side_by_side(tmp_path: Path) -> None:
    frames = {"MSFT": truth("MSFT"), "NA": truth("NA").iloc[4:]}
    both = wide(frames)
    both.to_csv(tmp_path / "wide.csv")
    both.swaplevel(axis=1).sort_index(axis=1).to_csv(tmp_path / "by ticker.csv")
    both.to_parquet(tmp_path / "wide.parquet")
    wanted = pd.concat([frame.assign(ticker=ticker, adjusted_close=frame["close"]) for ticker, frame in frames.items()])
    assert (tmp_path / "wide.csv").read_text().startswith("Price,Close,Close,High,High")
    for name in ("wide.csv", "by ticker.csv", "wide.parquet"):
        same(prices_of(tmp_path / name), wanted)


# CSV


def test_csv_as_rfc_4180_and_pandas_write_it(tmp_path: Path) -> None:
    names = ['he said "A"', "two\nlines", "back\\slash", "a, b", "NULL"]
    frame = pd.concat([ours(name) for name in names])
    (tmp_path / "all.csv").write_text("\ufeff" + quoted(frame), encoding="utf-8")
    frame.to_csv(tmp_path / "some.csv.gz", index=False, lineterminator="\r\n")
    frame.to_csv(tmp_path / "Excel's.TXT", index=False, sep=";", decimal=",")
    (tmp_path / "blanks.csv").write_text(frame[frame["ticker"] == "NULL"].to_csv(index=False).replace(",", ", "))
    for name in ("all.csv", "some.csv.gz"):
        same(prices_of(tmp_path / name), frame)
    same(prices_of(tmp_path / "Excel's.TXT", "prices.numbers=continental"), frame)
    same(prices_of(tmp_path / "blanks.csv"), frame[frame["ticker"] == "NULL"])


@pytest.mark.parametrize("name", ["a:b.csv", "a [1].csv", "a b.csv", "50%.csv", "{x}.parquet", "A.CSV", "*.csv.gz"])
def test_names_of_files(tmp_path: Path, name: str) -> None:
    frame = named(truth("A"), "Date,Open,High,Low,Close,Volume")
    (tmp_path / "in").mkdir()
    frame.to_parquet(tmp_path / "in" / name) if ".parquet" in name else frame.to_csv(
        tmp_path / "in" / name, index=False
    )
    for path in (tmp_path / "in", tmp_path / "in" / name):
        found = rows_of(path)
        assert set(found["ticker"]) == {name.partition(".")[0]}
        assert set(found["file"]) == {f"file:{tmp_path}/in/{name}"}


def test_globs_folders_and_notes(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv", "x/c.csv", "x/_old/d.csv", "x/.e.csv", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(named(truth("A"), "Date,Open,High,Low,Close,Volume").to_csv(index=False))
    assert set(rows_of(tmp_path)["ticker"]) == {"a", "b", "c"}
    assert set(rows_of(f"{tmp_path}/{{a,x/c}}.csv")["ticker"]) == {"a", "c"}
    assert set(rows_of(f"{tmp_path}/[ab].csv")["ticker"]) == {"a", "b"}
    assert set(rows_of(tmp_path / "notes.txt")["ticker"]) == {"notes"}


def test_folders_named_by_key_and_value(tmp_path: Path) -> None:
    for ticker in ("0005", "NULL", "1E5", "a%3Ab"):
        folder = tmp_path / f"ticker={ticker}" / "country=US"
        folder.mkdir(parents=True)
        ours().drop(columns="ticker").to_parquet(folder / "part-0.parquet")
    (tmp_path / "dates/date=2024-01-02").mkdir(parents=True)
    ours().drop(columns="date").iloc[:1].to_csv(tmp_path / "dates/date=2024-01-02/a.csv", index=False)
    found = rows_of(f"{tmp_path}/ticker=*", "prices.columns.country=country")
    assert found["ticker"].unique().tolist() == ["0005", "1E5", "NULL", "a:b"]
    assert set(found["country"]) == {"US"}
    assert rows_of(tmp_path / "dates")["date"].tolist() == [pd.Timestamp("2024-01-02")]


def test_the_ticker_stands_in_the_name(tmp_path: Path) -> None:
    path = tmp_path / "prices_0005%2FHK_daily.csv"
    ours().drop(columns="ticker").to_csv(path, index=False)
    assert set(rows_of(path, "prices.ticker_from=prices_(.+)_daily")["ticker"]) == {"0005/HK"}
    assert set(rows_of(path, r"prices.ticker_from=prices_(.+)_daily\.csv")["ticker"]) == {"0005/HK"}
    assert set(rows_of(path, "prices.ticker_from=^prices_([^_]+)")["ticker"]) == {"0005/HK"}
    assert "its name does not fit prices.ticker_from ((.+)_weekly)" in refusal(path, "prices.ticker_from=(.+)_weekly")
    assert "has no column 'ticker'" in refusal(path)


@pytest.mark.parametrize("word", ["NA", "NULL", "TRUE", "1E5", "0005", "nan", "None", "-"])
def test_words_stay_words(tmp_path: Path, word: str) -> None:
    ours(word, country=word).assign(sector=word).to_csv(tmp_path / "a.csv", index=False)
    ours(word, country=word).assign(sector=word).to_parquet(tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        found = rows_of(tmp_path / name, "prices.columns.country=country")
        assert set(found["ticker"]) == set(found["sector"]) == set(found["country"]) == {word}


def test_faults_of_lines_and_values_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = ours().to_csv(index=False).splitlines()
    faulty = [
        *lines[:3],
        "A,2020-01-31,1",
        lines[4] + ",more",
        *lines[5:7],
        lines[7].replace(",A,", ",A,").replace(".", "_", 1),
    ]
    path.write_text("\n".join(faulty))
    found = rows_of(path)["unreadable"].dropna().tolist()
    assert [fault["value"] for fault in found if fault["column"] == "line"] == ["A,2020-01-31,1", lines[4] + ",more"]
    assert [fault["column"] for fault in found if fault["column"] != "line"] == ["open"]


@pytest.mark.parametrize("value", ["43831", "202001", "2020", "020117", "07.01.2020", "01/02/2020", "99999999"])
def test_no_dates_are_named(tmp_path: Path, value: str) -> None:
    ours().assign(date=value).to_csv(tmp_path / "a.csv", index=False)
    ours().assign(date=value).to_parquet(tmp_path / "a.parquet")
    if value.isdigit():
        ours().assign(date=int(value)).to_parquet(tmp_path / "b.parquet")
    for path in tmp_path.glob("*.*"):
        found = rows_of(path)
        wanted = str(int(value)) if path.name == "b.parquet" else value
        assert found["date"].isna().all()
        assert {(fault["column"], fault["value"]) for fault in found["unreadable"]} == {("date", wanted)}


@pytest.mark.parametrize("column", ["tech", "2020-01-08"])
@pytest.mark.parametrize("later", [False, True])
def test_a_quote_that_is_not_closed_is_named(tmp_path: Path, column: str, later: bool) -> None:
    lines = ours().to_csv(index=False).splitlines()
    lines[3] = lines[3].replace(column, f'"{column}')
    if later:
        lines[9] = lines[9].replace("tech", '"tech"')
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    faults = rows_of(tmp_path / "a.csv")["unreadable"].dropna().tolist()
    assert faults[0]["column"] == "line"
    assert column in faults[0]["value"]
    assert len(faults[0]["value"]) <= 200


def test_blank_lines_count_for_nothing(tmp_path: Path) -> None:
    lines = ours().to_csv(index=False).splitlines()
    (tmp_path / "a.csv").write_text("\n".join(["", *lines[:1], "", *lines[1:5], "  ", *lines[5:], "", ""]))
    same(prices_of(tmp_path / "a.csv"), ours())


# Dates


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("first", ["2020-01-06", "2020-07-06"])
def test_midnights_are_the_exchanges_days(tmp_path: Path, zone: str, first: str) -> None:
    frame = truth("A", first).assign(ticker="A", sector="tech")
    zoned = midnights(frame, zone)
    utc = zoned.dt.tz_convert("UTC")
    here: Mapping[str, object] = {"zone": zoned, "text": zoned.astype(str), "iso": zoned.map(pd.Timestamp.isoformat)}
    moments: Mapping[str, object] = {
        "utc": utc,
        "utc text": utc.astype(str),
        "naive": utc.dt.tz_localize(None),
        "s": utc.astype("int64") // 10**9,
        "ms": utc.astype("int64") // 10**6,
        "us": utc.astype("int64") // 10**3,
        "ns": utc.astype("int64"),
    }
    for name, dates in {**here, **moments}.items():
        settings = [f"prices.timezone={zone}"] if name in moments else []
        frame.assign(date=dates).to_parquet(tmp_path / "a.parquet")
        same(prices_of(tmp_path / "a.parquet", *settings), frame)
        if name not in ("zone", "utc", "naive"):
            frame.assign(date=dates).to_csv(tmp_path / "a.csv", index=False)
            same(prices_of(tmp_path / "a.csv", *settings), frame)


def test_dates_written_in_other_ways(tmp_path: Path) -> None:
    frame = ours()
    for form, setting in {
        "%Y%m%d": [],
        "%d.%m.%Y": ["prices.date_format=%d.%m.%Y"],
        "%b %d, %Y": ["prices.date_format=%b %d, %Y"],
    }.items():
        frame.assign(date=frame["date"].dt.strftime(form)).to_csv(tmp_path / "a.csv", index=False)
        same(prices_of(tmp_path / "a.csv", *setting), frame)


# Parquet


def written_by(frame: pd.DataFrame, **options: Any) -> Callable[[Path], None]:
    return lambda path: pq.write_table(pa.Table.from_pandas(frame), path, **options)


def cast(column: str, kind: Any) -> Callable[[Path], None]:
    table = pa.Table.from_pandas(ours(), preserve_index=False)
    place = table.schema.get_field_index(column)
    return lambda path: pq.write_table(table.set_column(place, column, table[column].cast(kind)), path)


WRITERS: Mapping[str, Callable[[Path], None]] = {
    "index date": lambda path: ours().set_index("date").to_parquet(path),
    "index without a name": lambda path: ours().set_index("date").rename_axis(None).to_parquet(path),
    "index of two": lambda path: ours().set_index(["ticker", "date"]).to_parquet(path),
    "data page v2": written_by(ours(), data_page_version="2.0", compression="zstd"),
    "byte stream split": written_by(
        ours(),
        use_dictionary=["ticker", "sector"],
        column_encoding={"close": "BYTE_STREAM_SPLIT", "volume": "BYTE_STREAM_SPLIT"},
    ),
    "delta": written_by(ours(), use_dictionary=False, column_encoding={"ticker": "DELTA_BYTE_ARRAY"}),
    "brotli": written_by(ours(), compression="brotli"),
    "unsigned": cast("volume", pa.uint64()),
    "unsigned 32": cast("volume", pa.uint32()),
    "decimal": cast("close", pa.decimal128(12, 2)),
    "float16": cast("volume", pa.float32()),
    "dictionary": cast("ticker", pa.dictionary(pa.int8(), pa.string())),
    "large string": cast("sector", pa.large_string()),
    "binary": cast("ticker", pa.binary()),
    "nanoseconds": written_by(ours()),
    "INT96": written_by(ours(), use_deprecated_int96_timestamps=True),
    "date": cast("date", pa.date32()),
    "a time nobody asked for": lambda path: ours(at=pd.Timestamp("2020-01-01").time()).to_parquet(path),
    "row groups": written_by(ours(), row_group_size=5),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_parquet_of_other_writers(tmp_path: Path, writer: str) -> None:
    WRITERS[writer](tmp_path / "a.parquet")
    same(prices_of(tmp_path / "a.parquet"), ours())


# What is adjusted


def test_open_high_and_low_become_of_the_closes_kind(tmp_path: Path) -> None:
    frame = ours()
    factor = frame["adjusted_close"] / frame["close"]
    frame.assign(**{name: frame[name] * factor for name in ("open", "high", "low")}).to_parquet(tmp_path / "a.parquet")
    found = prices_of(tmp_path / "a.parquet", "prices.adjusted=all-with-close")
    np.testing.assert_allclose(found[COLUMNS[2:]], frame[COLUMNS[2:]], rtol=1e-14)


def settled(path: object, *settings: str) -> tuple[Any, list[str]]:
    class Notes:
        def __init__(self) -> None:
            self.lines: list[str] = []

        def note(self, text: str) -> None:
            self.lines.append(text)

    nobody: Any = None
    notes: Any = Notes()
    found = traded_money.settled(nobody, load(["signals.yml"], [f"prices.path=file:{path}", *settings]), notes)
    return found, notes.lines


def test_price_times_volume_is_left_out_where_it_would_tell_the_future(tmp_path: Path) -> None:
    adjusted, traded = written(KINDS["yfinance"], tmp_path), written(KINDS["tiingo"], tmp_path)
    config, notes = settled(adjusted, "features.set=all", "prices.note=Mine.")
    assert config.features.traded_money == "never"
    assert config.targets.exposures == ("beta", "volatility", "momentum")
    names = "obv, mfi_14, amihud_21, dollar_volume_21, volume_ratio_5_63, size"
    assert names in notes[0]
    assert config.prices.note.startswith("Mine. Close times volume")
    kept = sets.columns(sets.feature_set("all", traded_money=False))
    assert sorted(set(sets.columns(sets.feature_set("all"))) - set(kept)) == sorted(names.split(", ")[:-1])

    for path, setting in ((traded, "sound"), (adjusted, "always")):
        config, notes = settled(path, f"features.traded_money={setting}")
        assert (config.features.traded_money, config.targets.exposures[1], notes) == ("always", "size", [])
    assert settled(written(KINDS["eodhd"], tmp_path))[0].features.traded_money == "never"


def test_a_set_of_nothing_but_price_times_volume_is_refused() -> None:
    with pytest.raises(InputError, match=r"features\.set: liquidity holds features of price times volume only"):
        sets.feature_set("liquidity", traded_money=False)


def test_a_large_file_is_read_in_parts(tmp_path: Path) -> None:
    ours().to_parquet(tmp_path / "a.parquet", row_group_size=2)
    (group,) = survey_of(tmp_path).groups
    (file,) = group.files
    cut = list(parts_of(file, file.size // 3))
    assert [(part.first, part.last) for part in cut] == [(0, 2), (2, 4), (4, 6)]
    read = []
    for part in cut:
        with opened_here(file.path) as opened_file:
            read += [table.num_rows for table in typed_rows(part, opened_file, group)]
    assert read == [4, 4, 4]


def test_what_cannot_be_read_is_told_with_its_cause(tmp_path: Path) -> None:
    whole = tmp_path / "whole.parquet"
    ours().to_parquet(whole)
    data = whole.read_bytes()
    faults = {
        "secret.parquet": (data[:-4] + b"PARE", "cannot be read as a parquet file (could not read encrypted metadata"),
        "cut.parquet": (data[:1000], "cannot be read as a parquet file (the file is not a Parquet file)"),
        "none.parquet": (b"", "is empty; replace it or leave it out."),
        "none.csv": (b"", "is empty; replace it or leave it out."),
        "blank.csv": (b"\n \n\n", "is empty; replace it or leave it out."),
        "latin.csv": ("ticker,d\xe4te\n".encode("latin-1"), "cannot be read as a CSV file (it is no UTF-8 text)"),
        "latin value.csv": (
            ours("\xc4").to_csv(index=False).encode("latin-1"),
            "cannot be read as a CSV file (it is no UTF-8 text)",
        ),
        "cut.csv.gz": (gzip.compress(ours().to_csv(index=False).encode())[:200], "cannot be read"),
        "no.csv.gz": (b"ticker,date\n", "cannot be read as a CSV file"),
        "twice.csv": (ours().to_csv(index=False).replace("sector", "close", 1).encode(), "has two columns 'close'"),
    }
    for name, (content, said) in faults.items():
        (tmp_path / name).write_bytes(content)
        assert said in refusal(tmp_path / name, "prices.columns.sector=null"), name
    (tmp_path / "lost.csv").symlink_to(tmp_path / "nowhere")
    assert "lost.csv cannot be opened (no such file or directory)" in refusal(tmp_path)


def test_a_header_alone_has_no_rows(tmp_path: Path) -> None:
    for end in ("", "\n"):
        (tmp_path / "a.csv").write_text(",".join(ours().columns) + end)
        (group,) = survey_of(tmp_path).groups
        with opened_here(group.files[0].path) as file:
            assert list(typed_rows(Part(group.files[0].path), file, group)) == []
