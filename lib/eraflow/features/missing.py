"""How much of each feature is missing: the live era may lack no more than the eras that models learn from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from eraflow.errors import InputError

COMPARED = 52  # eras before the live one
SPREAD = 0.1  # by which the live era's share of missing values may be above the largest of theirs
EXAMPLES = 3


def missing_shares(rows: DataFrame, names: Sequence[str], missing: int) -> pd.DataFrame:
    """The share of an era's rows whose value of a feature is `missing`: a row an era, a column a feature.

    `rows` are those of some eras of the training table.
    """
    shares = [
        F.avg((F.get("features", F.lit(place)) == missing).cast("double")).alias(f"f{place}")
        for place in range(len(names))
    ]
    found = rows.groupBy("era").agg(*shares).toPandas()  # a row an era, COMPARED and one of them
    return found.set_index("era").sort_index().set_axis(list(names), axis=1)


def refuse_missing(shares: pd.DataFrame, live_era: int, live_date: date) -> None:
    """InputError where a feature is missing in more of the live rows than in any era before, by more than SPREAD."""
    before = shares.drop(index=live_era, errors="ignore")
    if live_era not in shares.index or before.empty:
        return
    both = pd.DataFrame({"live": shares.loc[live_era], "most": before.max()})
    found = both[both["live"] > both["most"] + SPREAD].sort_values("live", ascending=False, kind="stable")
    if len(found):
        told = [f"{row.Index} in {row.live:.0%} (at most {row.most:.0%} before)" for row in found.itertuples()]
        others = f" and {len(told) - EXAMPLES} more features" if len(told) > EXAMPLES else ""
        raise InputError(
            f"on {live_date} (era {live_era}), which is predicted for, more is missing than in the {len(before)} eras "
            f"before: {', '.join(told[:EXAMPLES])}{others}; bring the prices and Numerai's files up to date."
        )
