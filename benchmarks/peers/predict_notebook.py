"""Predicts Numerai Classic's live file as a notebook would: pandas, LightGBM, and numerai-tools' check.

    python predict_notebook.py FOLDER RUN OUT

FOLDER holds live.parquet, RUN a run whose model `lightgbm` predicts; its features are read from its model.json.
"""

import json
import sys
from pathlib import Path

import lightgbm
import pandas as pd
from numerai_tools.submissions import validate_submission_numerai

folder, run, out = map(Path, sys.argv[1:])
model = run / "models/lightgbm/final"
features = json.loads((model / "model.json").read_text())["feature_names"]
live = pd.read_parquet(folder / "live.parquet", columns=["id", *features]).set_index("id")
booster = lightgbm.Booster(model_file=model / "model.txt")
predictions = pd.Series(booster.predict(live.to_numpy()), live.index, name="prediction")
ranks = (predictions.rank(method="average") - 0.5) / len(predictions)
submission = ranks.rename_axis("id").reset_index().sort_values("id", ignore_index=True)
validate_submission_numerai(submission["id"], submission.copy())
submission.to_csv(out, index=False)
