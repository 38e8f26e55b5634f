"""Residual targets of Numerai Classic: what a benchmark model, or the meta model, does not tell of a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from numerai_tools import scoring as numerai
from pyspark.sql import DataFrame

BETWEEN = "_residual_to_"


@dataclass(frozen=True)
class Residual:
    """What the predictions of `model` leave of `target`."""

    target: str
    model: str


def residual_of(name: str) -> Residual | None:
    """What `TARGET_residual_to_MODEL` names; None for a name of another form."""
    target, between, model = name.partition(BETWEEN)
    return Residual(target, model) if between else None


def with_residuals(rows: DataFrame, models: Sequence[DataFrame], wanted: Mapping[str, Residual]) -> DataFrame:
    """The rows with one more column, `float`, for each of `wanted`: its name -> what it is.

    Within an era, over the rows where both are known, a target is regressed on the Gaussianised ranks of the model's
    predictions and a constant (numerai-tools' `neutralize`); the residual is what is left. Null where one of them is
    unknown, and in an era where the target does not vary.

    Parameters
    ----------
    rows : `id, era`, the targets, and any other columns.
    models : frames of `id, era` and predictions by name; no id occurs twice in one of them.
    """
    narrow = rows.select("id", "era", *dict.fromkeys(residual.target for residual in wanted.values()))
    for part in models:
        columns = [
            name for name in dict.fromkeys(residual.model for residual in wanted.values()) if name in part.columns
        ]
        if columns:
            narrow = narrow.join(part.select("id", "era", *columns), on=["id", "era"], how="left")

    def of_era(era: pd.DataFrame) -> pd.DataFrame:
        made = {name: _residual(era[residual.target], era[residual.model]) for name, residual in wanted.items()}
        return era[["id"]].assign(**made)

    made = narrow.groupBy("era").applyInPandas(of_era, ", ".join(["id string", *(f"`{x}` float" for x in wanted)]))
    # Hashed, so that wide rows are exchanged but not sorted for it.
    return rows.join(made.hint("shuffle_hash"), on="id", how="left")


def _residual(target: pd.Series, predictions: pd.Series) -> pd.Series:
    complete = pd.DataFrame({"target": target, "prediction": predictions}, dtype="float64").dropna()
    if complete.empty:
        return pd.Series(float("nan"), index=target.index)
    normal = numerai.gaussian(numerai.tie_kept_rank(complete[["prediction"]]))
    return numerai.neutralize(complete[["target"]], normal)["target"].reindex(target.index)
