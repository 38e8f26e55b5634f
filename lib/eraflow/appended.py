"""Delta tables whose rows are only ever added, each once: what happened round by round."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_

import pandas as pd
from delta.tables import DeltaTable
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from eraflow.causes import first_line, text_of
from eraflow.errors import InputError

COMMITS = 30  # days for which the log of commits is kept; rows are kept for ever
# What Delta and Spark say of files that are cut short, of another kind or gone; of a store that is away they do not.
DAMAGED = re.compile(r"JsonEOFException|JsonParseException|is not a Parquet file|FileNotFoundException|\[DELTA_")


@dataclass(frozen=True)
class Appended:
    """The table `_NAME` beside those of a root: a folder, an object-store path, or `catalog.schema`.

    `jobs/prune.py` leaves it alone. What it holds comes to the driver whole: some thousand rows a slot and year.
    """

    spark: SparkSession
    root: str
    name: str
    schema: str
    keys: Sequence[str]  # by which a row is there or not
    files: int = 100  # with more, all are written into one, and what readers have left for a week is removed

    def rows(self) -> pd.DataFrame:
        """All rows, sorted by their keys. InputError where a file of the table is damaged or gone."""
        columns = [field.split()[0] for field in self.schema.split(", ")]
        return self._read(columns).sort_values(list(self.keys), ignore_index=True)

    def _read(self, columns: Sequence[str], where: Column | None = None) -> pd.DataFrame:
        if not self._exists():
            return pd.DataFrame(columns=list(columns))
        source = self.spark.read
        try:
            table = source.table(self._address) if self._is_catalog else source.format("delta").load(self._address)
            found: pd.DataFrame = (table if where is None else table.where(where)).select(*columns).toPandas()
        except Exception as error:
            if not DAMAGED.search(text_of(error)):
                raise
            raise InputError(
                f"the table {self._address} is damaged ({first_line(error)}); put it back from a copy, or move it "
                "away, and it is begun anew."
            ) from error
        return found

    def _keys_like(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The keys that are there of what the rows have in common: of a round's rows the round's alone are read."""
        shared = [name for name in self.keys if rows[name].nunique(dropna=False) == 1 and rows[name].notna().all()]
        same = [F.col(name) == F.lit(rows[name].iloc[0]) for name in shared]
        return self._read(self.keys, reduce(and_, same) if same else None)

    def add(self, rows: pd.DataFrame) -> int:
        """Adds the rows whose keys are not there yet, all or none; returns how many."""
        existing = pd.MultiIndex.from_frame(self._keys_like(rows).astype(str))
        new = rows.drop_duplicates(list(self.keys))
        new = new[~pd.MultiIndex.from_frame(new[list(self.keys)].astype(str)).isin(existing)]
        if new.empty:
            return 0
        columns = [field.split()[0] for field in self.schema.split(", ")]
        plain = new[columns].astype(object).where(new[columns].notna(), None)
        frame = self.spark.createDataFrame(list(plain.itertuples(index=False, name=None)), self.schema)
        writer = frame.coalesce(1).write.format("delta").mode("append")
        writer = writer.option("delta.logRetentionDuration", f"interval {COMMITS} days")
        if self._is_catalog:
            writer.saveAsTable(self._address)
        else:
            writer.save(self._address)
        self._put_together()
        return len(new)

    def _put_together(self) -> None:
        named = DeltaTable.forName if self._is_catalog else DeltaTable.forPath
        table = named(self.spark, self._address)
        if len(table.toDF().inputFiles()) > self.files:
            table.optimize().executeCompaction()
            table.vacuum()

    @property
    def _is_catalog(self) -> bool:
        return "/" not in self.root and self.root.count(".") == 1 and not self.root.startswith(".")

    @property
    def _address(self) -> str:
        return f"{self.root}._{self.name}" if self._is_catalog else f"{self.root.rstrip('/')}/_{self.name}"

    def _exists(self) -> bool:
        if self._is_catalog:
            return bool(self.spark.catalog.tableExists(self._address))
        return bool(DeltaTable.isDeltaTable(self.spark, self._address))
