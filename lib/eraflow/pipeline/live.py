"""The live era, for `train` and `predict`: saved models predict its rows, and blends are made of that."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from eraflow import models
from eraflow.models import Fitted, FittedBlend
from eraflow.models.levels import Vector
from eraflow.pipeline.dataset import Dataset, LiveRows
from eraflow.pipeline.folder import RunFolder
from eraflow.whole_files import write_csv

FINAL = "final"


def predict_live(data: Dataset, folder: RunFolder, name: str, submit: bool) -> int:
    """Writes the live predictions of a model or ensemble that was saved as `final`; returns of how many rows.

    They stand beside the model, as it made them and as a submission; the one to `submit` is the run's, too.
    """

    def made(model: str) -> Vector:
        return pd.read_parquet(folder.live(model))["prediction"].to_numpy()

    place = folder.model(name, FINAL)
    fitted = models.load(place)
    fitted.refuse_others(data.live.names, str(place))
    live = predicted(data.live, fitted, made)
    live.to_parquet(folder.live(name), index=False)
    submitted = data.submission(live)
    write_csv(submitted, place / "live.csv")
    if submit:
        write_csv(submitted, folder.path / "predictions.csv")
    return len(live)


def predicted(rows: LiveRows, fitted: Fitted | FittedBlend, made: Callable[[str], Vector]) -> pd.DataFrame:
    """`id, era, prediction` of the rows, in their order; `made` gives what an ensemble's model has predicted."""
    eras = np.full(len(rows.ids), rows.era, dtype=np.int64)
    if isinstance(fitted, FittedBlend):
        values = fitted.mixed(np.column_stack([made(name) for name in fitted.models]), rows.levels, eras)
    elif fitted.follows_tickers:
        assert rows.frames  # what follows tickers is learned from tables
        found = fitted.predict(*rows.frames()).toPandas()  # the rows of one era
        values = found.set_index("id")["prediction"].reindex(list(rows.ids)).to_numpy(dtype=np.float64)
    else:
        values = fitted.portable().values(rows.levels, eras)
    return pd.DataFrame({"id": list(rows.ids), "era": eras.astype(np.int32), "prediction": values})
