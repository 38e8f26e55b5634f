"""What is new in the raw prices since the `prices` table was written: from which day on it must be made again.

`faults.SEEN` says what the files held when they were last read, by ticker and year. Only what has changed since is held
against the table row by row, from the year before the ticker's first change on. A vendor restates much without
changing what it says:

- adjusted closes, by one factor for all earlier days at each dividend, rounded anew. What counts is a ticker's return
  from one day to the next: it is another one where it moved further than the rounding of its two prices explains.
- closes, by one factor at a split, and volumes by the inverse. Dollar volumes and returns stay, and the table keeps the
  unit in which it has the ticker (`prices.bars`).
- sectors. They are written, and only what reads sectors is made again (`tables.Part`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

_PRICES = ("open", "high", "low", "close")
_LABELS = ("country", "member", "rate")
_SIDES = ("now", "then")
DECIMALS = 8  # the most that a vendor rounds to: prices with more count as not rounded
EXACT = 1e-6  # the relative rounding of prices in single precision
VOLUMES = 1e-4  # the relative rounding of volumes that are restated
EXAMPLES = 3


@dataclass(frozen=True)
class Update:
    """What differs between the raw prices and the table."""

    first: date | None  # the first day on which anything but a sector differs; None if nothing does
    first_sector: date | None  # the first day of an earlier row that is of another sector
    new_rows: int
    restated: int  # tickers with another history than they had
    examples: tuple[str, ...]  # some of them, each with its first changed day

    @property
    def since(self) -> date | None:
        """The first day on which anything differs."""
        return min(filter(None, (self.first, self.first_sector)), default=None)

    def __str__(self) -> str:
        restated = f", {self.restated} tickers with a restated history ({', '.join(self.examples)})"
        sectors = f", other sectors from {self.first_sector} on" if self.first_sector else ""
        changed = f"; changed from {self.since}" if self.since else ""
        return f"{self.new_rows} new rows" + (restated if self.restated else "") + sectors + changed


def changed(seen: DataFrame, before: DataFrame) -> DataFrame:
    """`ticker, since`: tickers whose rows are others than before. Both frames are of the shape `faults.SEEN`.

    `since` is the year before the first with a change in which the ticker has rows, or where there is none that one.
    """
    blocks = ["ticker", "year", "check", "rows", "hash"]
    now, then = (frame.where(~_is_repeat()).select(blocks).withColumn("side", F.lit(side))
                 for side, frame in ((1, seen), (-1, before)))  # fmt: skip
    # A block that both have the same cancels out.
    sides = now.unionByName(then).groupBy(blocks).agg(F.sum("side").alias("side"))
    years = sides.groupBy("ticker", "year").agg(F.max(F.col("side") != 0).alias("differs"))
    year_before = F.lag("year").over(Window.partitionBy("ticker").orderBy("year"))
    since = F.min_by(F.coalesce("year_before", "year"), "year").alias("since")
    with_before = years.withColumn("year_before", year_before).where("differs")
    return with_before.groupBy("ticker").agg(since)


def within(rows: DataFrame, changes: DataFrame) -> DataFrame:
    """The rows of the tickers of `changes` (one row a ticker) from the year `since` on."""
    year = F.col("year") if "year" in rows.columns else F.year("date")
    return rows.join(F.broadcast(changes), on="ticker", how="inner").where(year >= F.col("since")).drop("since")


def repeats_outside(before: DataFrame, changes: DataFrame) -> DataFrame:
    """Of what was seen before the repeated days that are not `within` the changes."""
    rows = before.where(_is_repeat()).join(F.broadcast(changes), on="ticker", how="left")
    return rows.where(F.col("since").isNull() | (F.col("year") < F.col("since"))).drop("since")


def compare(raw: DataFrame, stored: DataFrame) -> Update:
    """Holds sound raw prices against the rows of the table of the same tickers and years."""
    rows = _joined(raw, stored).cache()
    try:
        return _summed(_by_ticker(rows))
    finally:
        rows.unpersist()


def _joined(raw: DataFrame, stored: DataFrame) -> DataFrame:
    """`ticker, date, now, then`: a row of the files and of the table, either null where there is none."""
    columns = (*_PRICES, "volume", "sector", *_LABELS)
    now = raw.select("ticker", "date", F.struct(*columns, "adjusted_close").alias("now"))
    level = (F.col("total_return") / F.col("correction")).alias("level")
    then = stored.select("ticker", "date", F.struct(*columns, level).alias("then"))
    return now.join(then, on=["ticker", "date"], how="full_outer")


def _by_ticker(rows: DataFrame) -> DataFrame:
    """`ticker, first_new, new_rows, restated, first_sector`: the first days on which it is new, or not what it was."""
    prices = F.array(*(F.col(f"now.{name}") for name in _PRICES))
    # A handful of numbers a ticker.
    tickers = rows.groupBy("ticker").agg(
        _ratio("close", *_SIDES).alias("unit"),
        _ratio("volume", *reversed(_SIDES)).alias("volume_unit"),
        _decimals(F.array("now.adjusted_close")).alias("adjusted_decimals"),
        _decimals(prices).alias("decimals"),
        F.min("now.close").alias("least"),
    )
    rows = rows.join(F.broadcast(tickers), on="ticker", how="left")
    rows = rows.withColumns({
        "new": F.col("then").isNull(),
        "restated": F.col("then").isNotNull() & ~(F.col("now").isNotNull() & _same() & _same_return()),
    })  # fmt: skip
    by_ticker = rows.groupBy("ticker").agg(
        F.min(F.when(F.col("new"), F.col("date"))).alias("first_new"),
        F.max(F.when(~F.col("new"), F.col("date"))).alias("last_old"),
        F.min(F.when(F.col("restated"), F.col("date"))).alias("first_other"),
        F.count(F.when(F.col("new"), 1)).alias("new_rows"),
        F.min(F.when(F.col("now.sector") != F.col("then.sector"), F.col("date"))).alias("first_sector"),
    )
    inserted = F.when(F.col("first_new") <= F.col("last_old"), F.col("first_new"))
    restated = F.least("first_other", inserted).alias("restated")
    return by_ticker.select("ticker", "first_new", "new_rows", restated, "first_sector")


def _ratio(column: str, over: str, under: str) -> Column:
    """How many times larger a ticker's values are on one side than on the other, exactly 1 where most are equal."""
    both = F.col("now").isNotNull() & F.col("then").isNotNull() & (F.col(f"{under}.{column}") > 0)
    above, below = (F.when(both, F.col(f"{side}.{column}")) for side in (over, under))
    most = F.percentile_approx(above / below, 0.5)  # a ratio that is there
    return F.when(most == 1.0, 1.0).otherwise(F.coalesce(F.sum(above) / F.sum(below), F.lit(1.0)))


def relabelled(stored: DataFrame, raw: DataFrame, first: date, until: date | None) -> DataFrame:
    """The rows of the table from `first` to the day before `until`, with the sectors that the raw prices have now."""
    days = (F.col("date") >= F.lit(first)) & (F.col("date") < F.lit(until or date.max))
    now = raw.select("ticker", "date", F.col("sector").alias("now"))
    rows = stored.where(days).join(now, on=["ticker", "date"], how="left")
    columns = [F.coalesce("now", "sector").alias("sector") if name == "sector" else name for name in stored.columns]
    return rows.select(*columns)


def _summed(by_ticker: DataFrame) -> Update:
    by_ticker = by_ticker.cache()
    try:
        found = by_ticker.agg(
            F.min(F.least("first_new", "restated")).alias("first"),
            F.min("first_sector").alias("first_sector"),
            F.sum("new_rows").alias("new_rows"),
            F.count("restated").alias("restated"),
        ).head()
        # A handful: EXAMPLES rows.
        examples = (
            by_ticker.where(F.col("restated").isNotNull()).orderBy("restated", "ticker").limit(EXAMPLES).collect()
        )
    finally:
        by_ticker.unpersist()
    if found is None:
        return Update(None, None, 0, 0, ())
    sentences = tuple(f"{row['ticker']} from {row['restated']}" for row in examples)
    return Update(found["first"], found["first_sector"], int(found["new_rows"] or 0), int(found["restated"]), sentences)


def _same() -> Column:
    """Whether a row is as in the table, or so in other units: prices times `unit`, volumes over `volume_unit`.

    The unit is itself a ratio of two rounded prices, at worst of the ticker's least. At a split both units are one; a
    vendor that adjusts closes for dividends changes prices alone, one that adjusts volumes for splits volumes alone.
    """
    exact, scaled = F.lit(True), (F.col("unit") != 1.0) | (F.col("volume_unit") != 1.0)
    for name in (*_PRICES, "volume", *_LABELS):
        exact = exact & F.col(f"now.{name}").eqNullSafe(F.col(f"then.{name}"))
    unit, rounding = F.col("unit"), F.pow(F.lit(10.0), -F.col("decimals")) * (1.0 + F.col("unit"))
    relative = rounding / F.col("least") + EXACT
    for name in _PRICES:
        stored = F.col(f"then.{name}") * unit
        scaled = scaled & (F.abs(F.col(f"now.{name}") - stored) <= rounding + relative * stored)
    volume, shares = F.col("then.volume"), F.col("volume_unit")
    scaled = scaled & (F.abs(F.col("now.volume") * shares - volume) <= 1.0 + shares + (relative + VOLUMES) * volume)
    for name in _LABELS:
        scaled = scaled & F.col(f"now.{name}").eqNullSafe(F.col(f"then.{name}"))
    return exact | scaled


def _same_return() -> Column:
    """Whether the adjusted close moved since the ticker's row before as it did when it was stored, but for rounding."""
    before = Window.partitionBy("ticker").orderBy("date").rowsBetween(Window.unboundedPreceding, -1)
    adjusted = F.col("now.adjusted_close")
    factor = F.log(adjusted / F.col("then.level"))
    # Both the price now and the one that was stored were rounded, by at most half a unit each.
    rounding = F.pow(F.lit(10.0), -F.col("adjusted_decimals")) / adjusted + EXACT
    rounding = F.when(F.col("adjusted_decimals") > DECIMALS, F.lit(EXACT)).otherwise(rounding)
    held = F.when(factor.isNotNull(), F.struct(factor.alias("factor"), rounding.alias("rounding")))
    last = F.last(held, ignorenulls=True).over(before)
    return F.coalesce(F.abs(factor - last["factor"]) <= rounding + last["rounding"], F.lit(True))


def _decimals(prices: Column) -> Column:
    """The decimals that a ticker's prices are rounded to, DECIMALS + 1 if to no number up to that; an aggregate."""
    decimals = F.lit(DECIMALS + 1)
    for places in range(DECIMALS, -1, -1):
        shifted = F.transform(prices, _away(10.0**places))
        fits = F.coalesce(F.array_max(shifted), F.lit(0.0)) <= 1e-6
        decimals = F.when(fits, F.lit(places)).otherwise(decimals)
    return F.max(decimals)


def _away(by: float) -> Callable[[Column], Column]:
    """How far a price times a number is from a whole one."""
    return lambda price: F.abs(price * by - F.round(price * by))


def _is_repeat() -> Column:
    return F.coalesce(F.col("check").isin("repeat", "repeated"), F.lit(False))


def anchors(stored: DataFrame, first: date) -> DataFrame:
    """`ticker, anchor_{date, bar, level, correction, close, volume}`: each ticker's last bar before `first`."""
    last = F.max(F.struct("date", "bar", "total_return", "correction", "close", "volume")).alias("last")
    return (
        stored.where((F.col("date") < F.lit(first)) & F.col("bar").isNotNull())
        .groupBy("ticker")
        .agg(last)
        .select(
            "ticker",
            F.col("last.date").alias("anchor_date"),
            F.col("last.bar").alias("anchor_bar"),
            F.col("last.total_return").alias("anchor_level"),
            F.col("last.correction").alias("anchor_correction"),
            F.col("last.close").alias("anchor_close"),
            F.col("last.volume").alias("anchor_volume"),
        )
    )
