# Databricks notebook source
# MAGIC %md
# MAGIC # Numerai Classic
# MAGIC
# MAGIC Obfuscated features by era, from Numerai's files to scores and a submission: two models and their blend,
# MAGIC scored by Numerai's correlation, by MMC against the meta model, and by what is left when features are taken
# MAGIC out.
# MAGIC
# MAGIC Without `data` it invents a small data set in the shape of Numerai's. With `data` it reads the folder that
# MAGIC holds `features.json`, `train.parquet`, `validation.parquet` and `live.parquet`.

# COMMAND ----------

dbutils.widgets.text("data", "", "The folder of Numerai's files; empty = an invented data set")
dbutils.widgets.text("features", "small", "A feature set of features.json")
dbutils.widgets.text("tables", "var/notebooks/tables/classic", "Where tables go: a folder, or catalog.schema")
dbutils.widgets.text("runs", "var/notebooks/runs", "Where runs go: a folder")
dbutils.widgets.text("invented", "var/notebooks/classic", "Where the invented files go")
dbutils.widgets.text("rows", "300", "Rows in each of their eras")
dbutils.widgets.text("name", "classic", "Name of the run; other parameters need another one")
dbutils.widgets.text("trees", "100", "Trees of LightGBM")

# COMMAND ----------

from pathlib import Path

import pandas as pd

from eraflow.config import load
from eraflow.pipeline.train import train
from eraflow.progress import NotebookProgress
from eraflow.reporting.inline import pictures
from eraflow.session import session

spark = session()
progress = NotebookProgress()
data = dbutils.widgets.get("data")
config = load(
    ["classic.yml" if data else "classic-synthetic.yml"],
    [
        f"run.name={dbutils.widgets.get('name')}",
        f"run.dir={dbutils.widgets.get('runs')}",
        f"tables.root={dbutils.widgets.get('tables')}",
        f"classic.path={data or dbutils.widgets.get('invented')}",
        "classic.dataset=null",
        f"classic.features={dbutils.widgets.get('features')}",
        "classic_synthetic.train_eras=60",
        "classic_synthetic.validation_eras=40",
        f"classic_synthetic.rows_per_era={dbutils.widgets.get('rows')}",
        "classic_synthetic.features=100",
        "classic_synthetic.signal=1.0",
        f"kinds.lightgbm.trees={dbutils.widgets.get('trees')}",
        "models.linear.kind=linear",
        "ensembles.blend.weights=equal",
        "run.submission=blend",
        "validation.period=null",
        "validation.folds=2",
        "validation.min_train_eras=30",
    ],
)
run = Path(config.run.dir) / config.run.name

# COMMAND ----------

print("\n".join(train(spark, config, progress)))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Scores
# MAGIC
# MAGIC The mean over out-of-fold eras, by model and metric. `eraflow config scoring` says what is scored.

# COMMAND ----------

scores = pd.read_csv(run / "per_era.csv")
scores.pivot_table(index="metric", columns="model", values="value", aggfunc="mean").round(4)

# COMMAND ----------

pictures(run, "eras", "cumulative", "comparison")

# COMMAND ----------

# MAGIC %md
# MAGIC ## The submission
# MAGIC
# MAGIC The blend's, as `run.submission` says; ids are those of `live.parquet`.

# COMMAND ----------

pd.read_csv(run / "predictions.csv").head()
