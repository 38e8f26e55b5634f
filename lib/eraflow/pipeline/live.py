"""The live era: a saved model is loaded, its rows are predicted, and the submission is written."""

from __future__ import annotations

from eraflow import models, submission
from eraflow.pipeline.dataset import Dataset
from eraflow.pipeline.folder import RunFolder

FINAL = "final"


def predict_live(data: Dataset, folder: RunFolder, name: str, submit: bool) -> int:
    """Writes the live predictions of a model or ensemble that was saved as `final`; returns of how many rows.

    They stand beside the model, as it made them and as a submission; the one to `submit` is the run's, too.
    """
    place = folder.model(name, FINAL)
    fitted = models.load(place)
    fitted.refuse_others(data.training.feature_names, str(place))
    rows = data.live.select("id", "era", "features")
    live = fitted.predict(rows, data.training.table).toPandas().sort_values("id")  # the rows of one era
    live.to_parquet(folder.live(name), index=False)
    submitted = data.submission(live)
    submission.write(submitted, place / "live.csv")
    if submit:
        submission.write(submitted, folder.path / "predictions.csv")
    return len(live)
