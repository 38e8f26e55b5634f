"""Faulty rows of the raw prices: what is refused, what is dropped and counted, what sets its ticker aside.

A row is judged by itself first, then those of one ticker and date that are sound are held against each other. Conf's
`quality` section says for each of `CHECKS` what becomes of it:

- `set_aside`: the ticker is left out from its first faulty day on. What came before stays, so that no fault changes the
  past, and a ticker that ends in rows of zeros keeps the history that it had.
- `drop`: the row is left out, as if the file lacked it; of a day with contradicting rows all of them.
- `refuse`: the whole run is.

Rows without any price and exact repeats are always dropped. A value that is unreadable as its type, a row without
ticker or date and a currency without a rate are always refused: there the file or a setting is wrong, not a ticker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from eraflow.errors import InputError
from eraflow.sources.files import shown
from eraflow.sources.price_files import NUMBERS, PRICES, SCHEMA

CHECKS: Mapping[str, str] = {
    "incomplete": "a price, the volume, the sector, the country or the currency is missing",
    "impossible": "a close or adjusted close that is not above 0, another negative number, an infinite one",
    "zero_range": "the open, high or low is 0, as some vendors write a day without trades",
    "repeated": "a day that is there twice, with different values",
}
DROPPED: Mapping[str, str] = {
    "empty": "rows without any price; left out",
    "repeat": "rows that repeat another one in every value; left out",
}
_REFUSED = ("unreadable", "missing", "without a rate")
_NAMES = ("sector", "country", "currency")
EXAMPLES = 3  # set-aside tickers that a refusal names
NAMED = 20  # that a user is told of while the table is made
# What the rows of a ticker and year are, by the check that they fail (null = sound): how many, an order-free hash of
# them, and the first. Of `repeat` and `repeated`, whose rows are sound by themselves, there is no hash.
_PLACE = "struct<date: date, column: string, value: string, file: string>"
SEEN = f"ticker string, year int, check string, rows bigint, hash bigint, first {_PLACE}"


@dataclass(frozen=True)
class Aside:
    """A ticker that is left out from a day on, and the fault of that day."""

    ticker: str
    row: Row
    fault: str

    def __str__(self) -> str:
        return f"{self.ticker} from {self.row['date']} ({self.fault})"


@dataclass(frozen=True)
class Faults:
    """What the raw prices hold that is faulty: rows by check, those of them that are dropped, tickers set aside."""

    rows: Mapping[str, int]
    dropped: Mapping[str, int]
    aside: tuple[Aside, ...]

    def __str__(self) -> str:
        rows = [f"{count} rows ({check})" for check, count in self.dropped.items()]
        named = [*map(str, self.aside[:NAMED])]
        more = [f"and {len(self.aside) - NAMED} more, which the table quality names"] if self.aside[NAMED:] else []
        tickers = [f"tickers set aside: {', '.join([*named, *more])}"] if named else []
        return "; ".join([*([f"left out: {', '.join(rows)}"] if rows else []), *tickers])


def marked(raw: DataFrame) -> DataFrame:
    """The raw prices with `fault struct<check, column>`: the first check that a row fails by itself, null if none."""
    return raw.withColumn("fault", _row_fault())


def drops(policies: Mapping[str, str]) -> Column:
    """Whether a policy drops a `marked` row for what it holds by itself; null of a sound row."""
    return F.col("fault.check").isin([*DROPPED, *(name for name in CHECKS if policies[name] == "drop")])


def seen(raw: DataFrame, has_faults: bool = True) -> DataFrame:
    """The `marked` raw prices by ticker, year and row check, as SEEN says; `repeats` are not among the checks.

    Where no row `has_faults` none is looked for.
    """
    column = F.col("fault.column")
    value = F.coalesce(
        F.col("unreadable.value"),
        *(F.when(column == name, F.col(name).cast("string")) for name in (*NUMBERS, *_NAMES)),
    )
    column = F.coalesce(F.col("unreadable.column"), column)
    place = F.struct("date", column.alias("column"), value.alias("value"), "file")
    keys = [F.col("ticker"), F.year("date").alias("year"), F.col("fault.check").alias("check")]
    hashed = F.xxhash64("date", *NUMBERS, *_NAMES, "member", "rate")
    # A sum wraps at 64 bits and does not depend on the order of the rows.
    sums = [F.count("*").alias("rows"), F.sum(hashed).alias("hash")]
    is_faulty = F.col("fault").isNotNull()
    # Apart, because the least of structs is found by sorting: of the few faulty rows, and not of all.
    faulty = raw.where(is_faulty).groupBy(*keys).agg(*sums, F.min(place).alias("first"))
    nothing = [F.lit(None).cast(kind).alias(name) for name, kind in (("check", "string"), ("first", _PLACE))]
    sound = raw.where(~is_faulty).groupBy(*keys[:2]).agg(*sums).select("*", *nothing).select(*faulty.columns)
    return sound.unionByName(faulty) if has_faults else sound


def repeats(raw: DataFrame) -> DataFrame:
    """As SEEN says the checks `repeat` (rows beyond the first) and `repeated` (all rows of the day) of sound rows."""
    twice = _days_repeated(raw.where("fault is null"))
    check = F.when(F.col("differ"), "repeated").otherwise("repeat").alias("check")
    beyond = F.when(F.col("differ"), F.col("rows")).otherwise(F.col("rows") - 1)
    nothing = F.lit(None).cast("string")
    place = F.struct("date", nothing.alias("column"), F.col("rows").cast("string").alias("value"), "file")
    return (
        twice.groupBy("ticker", F.year("date").alias("year"), check)
        .agg(F.sum(beyond).alias("rows"), F.min(place).alias("first"))
        .select("ticker", "year", "check", "rows", F.lit(None).cast("bigint").alias("hash"), "first")
    )


def judged(found: DataFrame, raw: DataFrame, policies: Mapping[str, str], refuse_share: float, where: str) -> Faults:
    """What `found`, of the shape SEEN, means for a run. Raises InputError for what is refused.

    `raw` tells what the files call a column, `where` which files they are.
    """
    faulty = found.where(F.col("check").isNotNull())
    first = F.struct("first.date", "ticker", "check", "first.column", "first.value", "first.file")
    # One row a check.
    checks = {
        row["check"]: row
        for row in faulty.groupBy("check").agg(F.sum("rows").alias("rows"), F.min(first).alias("first")).collect()
    }
    refused = [*_REFUSED, *(name for name in CHECKS if policies[name] == "refuse")]
    for name in refused:
        if name in checks:
            raise InputError(_refusal(checks[name], sum(checks[other]["rows"] for other in refused if other in checks),
                                      raw, where))  # fmt: skip
    names = [name for name in CHECKS if policies[name] == "set_aside"]
    by_ticker = faulty.where(F.col("check").isin(names)).groupBy("ticker").agg(F.min(first).alias("first"))
    aside = _aside(by_ticker, found, raw, refuse_share, where) if set(names) & set(checks) else ()
    rows = {name: row["rows"] for name, row in checks.items()}
    dropped = {name: n for name, n in rows.items() if name in DROPPED or policies[name] == "drop"}
    return Faults(rows, dropped, aside)


def sound(raw: DataFrame, faults: Faults, policies: Mapping[str, str]) -> DataFrame:
    """The rows of the raw prices that count, one for each ticker and date; `raw` itself where it has no fault."""
    if not faults.rows:
        return raw
    rows = raw.where("fault is null")
    if faults.aside:
        # So many tickers as `refuse_share` allows.
        days = [(aside.ticker, aside.row["date"]) for aside in faults.aside]
        ends = raw.sparkSession.createDataFrame(days, "ticker string, aside date")
        rows = rows.join(F.broadcast(ends), on="ticker", how="left")
        rows = rows.where(F.col("aside").isNull() | (F.col("date") < F.col("aside"))).drop("aside")
    if "repeated" in faults.rows and policies["repeated"] == "drop":
        contradicting = _days_repeated(rows).where("differ").select("ticker", "date")
        rows = rows.join(contradicting, on=["ticker", "date"], how="left_anti")
    return rows.dropDuplicates(["ticker", "date"]) if {"repeat", "repeated"} & set(faults.rows) else rows


def _row_fault() -> Column:
    """`struct<check, column>` of the first check that a row fails by itself, null for a sound row."""
    lacks = {name: F.col(name).isNull() | F.isnan(name) for name in NUMBERS}
    no_price = lacks["close"]
    for name in PRICES:
        no_price = no_price & lacks[name]
    infinite = {name: F.abs(F.col(name)) == float("inf") for name in NUMBERS}
    checks = [("unreadable", "", F.col("unreadable").isNotNull()), ("empty", "", no_price)]
    checks += [
        ("missing", "ticker", F.coalesce("ticker", F.lit("")) == ""),
        ("missing", "date", F.col("date").isNull()),
    ]
    checks += [("incomplete", name, lacks[name]) for name in NUMBERS]
    checks += [("incomplete", name, F.col(name).isNull()) for name in _NAMES]
    checks += [("impossible", name, infinite[name] | (F.col(name) < 0)) for name in NUMBERS]
    checks += [("impossible", name, F.col(name) == 0) for name in ("close", "adjusted_close")]
    checks += [("zero_range", name, F.col(name) == 0) for name in ("open", "high", "low")]
    checks += [("without a rate", "currency", F.col("rate").isNull())]
    return F.coalesce(
        *(
            F.when(wrong, F.struct(F.lit(check).alias("check"), F.lit(name).alias("column")))
            for check, name, wrong in checks
        )
    )


def _days_repeated(rows: DataFrame) -> DataFrame:
    """`ticker, date, rows, differ, file` of the days that a ticker has more than once."""
    values = F.xxhash64(*NUMBERS, *_NAMES)
    by_day = rows.groupBy("ticker", "date").agg(
        F.count("*").alias("rows"), (F.min(values) != F.max(values)).alias("differ"), F.max("file").alias("file")
    )
    return by_day.where("rows > 1")


def _aside(
    by_ticker: DataFrame, found: DataFrame, raw: DataFrame, refuse_share: float, where: str
) -> tuple[Aside, ...]:
    ordered = by_ticker.orderBy("first.date", "ticker")
    faulty, every = by_ticker.count(), found.select("ticker").distinct().count()
    few = faulty <= refuse_share * every
    # So many tickers as `refuse_share` allows, or EXAMPLES.
    rows = (ordered if few else ordered.limit(EXAMPLES)).collect()
    aside = tuple(Aside(row["ticker"], row["first"], _described(row["first"], raw)) for row in rows)
    if few:
        return aside
    rest = ", ..." if faulty > len(aside) else ""
    place = shown(aside[0].row["file"]) if faulty == 1 and aside[0].row["file"] else where
    raise InputError(
        f"{place}: faulty rows in {faulty} of {every} tickers, more than {refuse_share:.1%} (quality.refuse_share): "
        f"{', '.join(map(str, aside))}{rest}; mend or remove the rows, or let them be left out with "
        f"--set quality.{aside[0].row['check']}=drop."
    )


def _refusal(found: Row, rows: int, raw: DataFrame, where: str) -> str:
    first = found["first"]
    place = shown(first["file"]) if first["file"] else where
    others = f", and {rows - 1} more rows have faults" if rows > 1 else ""
    if first["column"] == "line":
        return f"{place}: the line {first['value']!r} has not one value for each column{others}; mend or remove it."
    whose = f" for {first['ticker']}" if first["ticker"] else ""
    when = f" on {first['date']}" if first["date"] else ""
    return f"{place}: {_described(first, raw)}{whose}{when}{others}; mend or remove the row."


def _described(first: Row, raw: DataFrame) -> str:
    """The fault in words, with the file's own name of the column."""
    check, column, value = first["check"], first["column"], first["value"]
    if check == "repeated":
        return f"{value} rows with different values"
    names = {field.name: field.metadata.get("named") for field in raw.schema}
    named = f"column {(names.get(column) or column)!r}"
    if check == "unreadable":
        kind = "date (YYYY-MM-DD)" if SCHEMA.get(column) == "date" else "number"
        return f"{named} holds {value!r}, which is no {kind},"
    if check == "without a rate":
        return f"{named} holds {value!r}, for which prices.rates has no rate,"
    return f"{named} is empty" if check in ("missing", "incomplete") else f"{named} is {value}"
