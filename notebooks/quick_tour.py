# Databricks notebook source
# MAGIC %md
# MAGIC # A quick tour
# MAGIC
# MAGIC From prices to a report, on an invented universe of stocks in which two effects are planted: momentum, and the
# MAGIC momentum of hidden neighbours. No account, no download. In order:
# MAGIC
# MAGIC 1. features of each ticker and day, ranked at each era (the last trading day of a week),
# MAGIC 2. folds by era in which no training label overlaps a validation label,
# MAGIC 3. a model, its predictions out of fold, and its scores for every era,
# MAGIC 4. predictions of the newest date, as a file for Numerai.
# MAGIC
# MAGIC The parameters above are small numbers for a first look; `momentum=0` and `network=0` leave nothing to be
# MAGIC found.

# COMMAND ----------

dbutils.widgets.text("tables", "var/notebooks/tables/tour", "Where tables go: a folder, or catalog.schema")
dbutils.widgets.text("runs", "var/notebooks/runs", "Where runs go: a folder")
dbutils.widgets.text("name", "tour", "Name of the run; other parameters need another one")
dbutils.widgets.text("days", "1000", "Trading days of the universe")
dbutils.widgets.text("tickers", "15", "Tickers in each of eight sectors")
dbutils.widgets.text("momentum", "0.06", "Planted effect of momentum")
dbutils.widgets.text("network", "0.04", "Planted effect of neighbours")
dbutils.widgets.text("trees", "100", "Trees of the model")

# COMMAND ----------

# MAGIC %md
# MAGIC A configuration is `conf/base.yml`, which holds every default, with an overlay and single settings on top of
# MAGIC it.

# COMMAND ----------

from pathlib import Path

import pandas as pd

from eraflow.config import load
from eraflow.pipeline.train import train
from eraflow.pipeline.upstream import build
from eraflow.progress import NotebookProgress
from eraflow.reporting.inline import pictures
from eraflow.session import session

spark = session()
progress = NotebookProgress()
config = load(
    ["demo.yml"],
    [
        f"run.name={dbutils.widgets.get('name')}",
        f"run.dir={dbutils.widgets.get('runs')}",
        f"tables.root={dbutils.widgets.get('tables')}",
        f"synthetic.days={dbutils.widgets.get('days')}",
        f"synthetic.tickers_per_sector={dbutils.widgets.get('tickers')}",
        f"synthetic.momentum={dbutils.widgets.get('momentum')}",
        f"synthetic.network={dbutils.widgets.get('network')}",
        f"kinds.lightgbm.trees={dbutils.widgets.get('trees')}",
        "validation.folds=3",
        "validation.min_train_eras=20",
        "targets.horizons=[20]",
    ],
)
run = Path(config.run.dir) / config.run.name

# COMMAND ----------

# MAGIC %md
# MAGIC ## Tables
# MAGIC
# MAGIC Each table is a Delta table with versions. A second call builds only what is missing or stale.

# COMMAND ----------

print("\n".join(build(spark, config, progress)))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Train, score, predict
# MAGIC
# MAGIC A run that was stopped goes on from its last finished fold, and a finished one is found as it is.

# COMMAND ----------

print("\n".join(train(spark, config, progress)))

# COMMAND ----------

# MAGIC %md
# MAGIC The mean score of an era, with an interval that allows for overlapping labels: the returns over 20 days of
# MAGIC neighbouring weeks share most of their days, so that fewer eras count than there are.

# COMMAND ----------

scores = pd.DataFrame(pd.read_json(run / "summary.json")["lightgbm"].dropna().to_dict()).T
scores[["eras", "effective_eras", "mean", "std", "sharpe", "max_drawdown", "positive_share"]].astype(float).round(3)

# COMMAND ----------

pictures(run, "eras", "cumulative", "folds")

# COMMAND ----------

# MAGIC %md
# MAGIC ## What goes to Numerai
# MAGIC
# MAGIC The newest date's predictions, as the submission has them.

# COMMAND ----------

pd.read_csv(run / "predictions.csv").head()

# COMMAND ----------

# MAGIC %md
# MAGIC The whole report is one page, `report.html` in the run's folder, beside scores (`per_era.csv`), out-of-fold
# MAGIC predictions (`oof.parquet`) and the manifest (`run.json`), from which the run can be repeated.
# MAGIC
# MAGIC **Go on** with your own prices in `signals_with_networks`, with Numerai Classic in `classic`, with what the
# MAGIC model lives on in `explanations`, or with a round in `live_round`.
