"""An ensemble that has been fitted: models, their weights, and what is taken off the blend. It predicts as they do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from eraflow.ensembles.neutral import filled, neutral
from eraflow.ensembles.weights import blend
from eraflow.models.fitted import Fitted, Portable
from eraflow.models.levels import Eras, Levels, Matrix, Vector
from eraflow.models.member import Names, Rows, by_era

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class FittedBlend:
    """`models` by name, blended by `weights`; `proportion` of what features explain is taken off, 0 for nothing.

    These are the features `neutral_to`, all where None, or the `riskiest` of them.
    """

    models: Mapping[str, Fitted]
    weights: tuple[float, ...]
    proportion: float = 0.0
    neutral_to: Names | None = None
    riskiest: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def inputs(self) -> Names:
        """The features of the rows that it predicts."""
        return self._first.inputs

    @property
    def feature_names(self) -> Names:
        """Every feature that one of its models has learned from."""
        return tuple(dict.fromkeys(chain.from_iterable(model.feature_names for model in self.models.values())))

    @property
    def target(self) -> str:
        """The targets of its models, each named once."""
        return ", ".join(dict.fromkeys(model.target for model in self.models.values()))

    def predict(self, rows: DataFrame, history: DataFrame | None = None, carried: Sequence[str] = ()) -> DataFrame:
        """`id, era, prediction` of every row, and the columns that are `carried` along: see `Fitted.predict`."""
        from pyspark.sql import DataFrame as Frame  # hosted models have no Spark

        from eraflow.ensembles.blending import blended
        from eraflow.ensembles.neutralisation import Features, neutralise
        from eraflow.predictions import as_model, unlabelled

        selected = rows.select("id", "era", "features")
        parts = [as_model(model.predict(selected, history), name) for name, model in self.models.items()]
        eras = [row["era"] for row in rows.select("era").distinct().collect()]  # one row an era
        weights = dict.fromkeys(eras, self._weights)
        mixed = as_model(blended(unlabelled(reduce(Frame.unionByName, parts), 0), tuple(self.models), weights), "blend")
        if self.proportion:
            features = Features(selected, self.inputs, self._first.missing)
            mixed = neutralise(mixed, features, self.proportion, self.neutral_to, self.riskiest)
        found = mixed.select("id", "era", "prediction")
        return found.join(rows.select("id", *carried), on="id", how="inner") if carried else found

    def portable(self) -> Portable:
        """The ensemble for frames of pandas. InputError where one of its models follows tickers through time."""
        each = [model.portable() for model in self.models.values()]

        def values(levels: Levels, eras: Eras) -> Vector:
            return self.mixed(np.column_stack([one.values(levels, eras) for one in each]), levels, eras)

        return Portable(self.inputs, self._first.missing, self._first.absent, values, self._first.live)

    def mixed(self, predictions: Matrix, levels: Levels, eras: Eras) -> Vector:
        """The blend of its models' predictions, rows x models in the order of `models`, of rows of these levels."""
        taken = [self.neutral_to is None or name in self.neutral_to for name in self.inputs]
        places = np.flatnonzero(taken)

        def of_era(rows: Rows) -> Vector:
            blended = blend(predictions[rows], self._weights)
            if not self.proportion:
                return blended
            columns = filled(levels[rows][:, places], self._first.missing)
            return neutral(blended[:, None], columns, self.proportion, self.riskiest)[:, 0]

        return by_era(of_era, eras)

    def refuse_others(self, names: Sequence[str], where: str) -> None:
        """InputError where rows have other features than its models were trained on, or in another order."""
        for name, model in self.models.items():
            model.refuse_others(names, f"{where}, {name}")

    @property
    def _weights(self) -> Vector:
        return np.array(self.weights)

    @property
    def _first(self) -> Fitted:
        return next(iter(self.models.values()))
