"""The rows by which models are explained: of folds and live ones, with the weeks before where a model reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame

from eraflow.config import Config
from eraflow.explain import eras, histories
from eraflow.explain.additive import Additive
from eraflow.explain.rows import why
from eraflow.models.levels import Eras
from eraflow.models.sample import Sample, sampled
from eraflow.pipeline.dataset import Dataset, LiveRows
from eraflow.validation import Fold

RAISED = 10  # features that are told of a live row, on either side


@dataclass(frozen=True)
class ExplainedRows:
    """Rows of a run's folds."""

    config: Config
    data: Dataset
    folds: Sequence[Fold]

    @cached_property
    def samples(self) -> Mapping[int, Sample]:
        """Rows of each fold's validated eras: `explain.rows` of all folds together."""
        count = -(-self.config.explain.rows // len(self.folds))
        width = len(self.data.training.feature_names)
        return {fold.number: sampled(self.labelled(fold.validation), count, width) for fold in self.folds}

    @cached_property
    def _histories(self) -> dict[tuple[int, int, bool], Sample]:
        """Samples with the weeks before by fold, weeks and whether they are whole eras, as far as one has asked."""
        return {}

    def sample(self, fold: Fold, weeks: int, whole: bool) -> Sample:
        """Rows of a fold's validated eras as some models read them."""
        if weeks == 1 and not whole:
            return self.samples[fold.number]
        key = (fold.number, weeks, whole)
        if key not in self._histories:
            self._histories[key] = self._with_history(fold, weeks, whole)
        return self._histories[key]

    def _with_history(self, fold: Fold, weeks: int, whole: bool) -> Sample:
        count = -(-self.config.explain.rows // len(self.folds))
        width = len(self.data.training.feature_names) * weeks
        if not whole:
            return sampled(self.labelled(fold.validation, weeks), count, width)
        rows = self.labelled(spread(fold.validation, max(1, count // len(self.data.live.ids))), weeks)
        found = sampled(rows, rows.count(), width)
        order = np.argsort(found.eras, kind="stable")
        return Sample(found.levels[order], found.eras[order], found.target[order])

    def every_week(self, places: Sequence[int], weeks: int) -> list[int]:
        """Where these features are in rows of so many weeks."""
        width = len(self.data.training.feature_names)
        return [week * width + place for week in range(weeks) for place in places]

    @cached_property
    def eras(self) -> set[int]:
        """Eras with a known target."""
        return set(self.data.eras.labelled)

    def labelled(self, wanted: Sequence[int], weeks: int = 1) -> DataFrame:
        """The labelled rows of these eras; of several weeks with those before."""
        return histories.labelled_rows(self.data.training, [era for era in wanted if era in self.eras], weeks)

    def few(self, wanted: Sequence[int], whole: bool) -> list[int]:
        """As many of a fold's eras as have `explain.sampled_rows` rows to be sampled, over all folds."""
        of_era = len(self.data.live.ids) if whole else min(eras.SAMPLED_ROWS, len(self.data.live.ids))
        count = self.config.explain.sampled_rows // len(self.folds) // of_era
        return spread([era for era in wanted if era in self.eras], max(1, count))


def of_weeks(live: LiveRows, weeks: int) -> LiveRows:
    """The live rows with the weeks before."""
    if weeks == 1:
        return live
    assert live.frames  # what follows tickers is learned from tables
    _, history = live.frames()
    rows = histories.windows(history.select("id", "era", "features"), [live.era], weeks, len(live.names), live.missing)
    found = rows.toPandas().set_index("id")["features"].reindex(list(live.ids))  # the rows of one era
    return replace(live, levels=np.array(found.tolist(), dtype=np.int8))


def reasons_of(model: Additive, live: LiveRows, asked: Sequence[str], most: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Why live rows are predicted so: where that is sampled the rows that are asked for, the highest and the lowest."""
    ids, numbers = np.array(live.ids, dtype=object), eras_of(live)
    chosen = np.arange(len(ids))
    if model.is_sampled and not model.reads_whole_eras and len(ids) > most:
        order = np.argsort(-model.predictions(live.levels, numbers), kind="stable")
        ends = np.concatenate([np.flatnonzero(np.isin(ids, list(asked))), order[: most // 2], order[-(most // 2) :]])
        chosen = np.unique(ends)
    return why(model, ids[chosen].tolist(), live.levels[chosen], numbers[chosen], RAISED)


def eras_of(rows: LiveRows) -> Eras:
    """The live era, for each of its rows."""
    return np.full(len(rows.ids), rows.era, dtype=np.int64)


def spread(wanted: Sequence[int], count: int) -> list[int]:
    """At most so many of these, at even distances."""
    places = np.unique(np.linspace(0, len(wanted) - 1, min(count, len(wanted))).round().astype(int))
    return [int(wanted[place]) for place in places]
