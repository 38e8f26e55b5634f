# Databricks notebook source
# MAGIC %md
# MAGIC # Signals with networks
# MAGIC
# MAGIC Does the momentum of a stock's neighbours say anything that its own momentum does not? A graph over the stocks
# MAGIC is learned from the momentum features of the days before, so that near ones become neighbours, and what the
# MAGIC neighbours show becomes features ([Network Momentum across Asset Classes](https://arxiv.org/abs/2308.11294)).
# MAGIC Three models learn on the same folds: from momentum alone, from the neighbours' alone, from both. What counts
# MAGIC is their difference.
# MAGIC
# MAGIC Without `prices` it runs on an invented universe that has such an effect. With `prices` it reads your file:
# MAGIC `ticker, date, open, high, low, close, adjusted_close, volume, sector`, or a publisher's export.

# COMMAND ----------

dbutils.widgets.text("prices", "", "Your prices: a file, a folder or a glob; empty = an invented universe")
dbutils.widgets.text("tables", "var/notebooks/tables/networks", "Where tables go: a folder, or catalog.schema")
dbutils.widgets.text("runs", "var/notebooks/runs", "Where runs go: a folder")
dbutils.widgets.dropdown("relearn", "monthly", ["monthly", "weekly"], "How often a graph is learned")
dbutils.widgets.text("look_backs", "[126, 252]", "Trading days that a graph is learned from; several are averaged")
dbutils.widgets.text("min_train_eras", "104", "Weeks that the first fold learns from")
dbutils.widgets.text("days", "1200", "Trading days of the invented universe")
dbutils.widgets.text("tickers", "15", "Tickers in each of its eight sectors")
dbutils.widgets.text("name", "networks", "Name of the run; other parameters need another one")
dbutils.widgets.text("trees", "100", "Trees of each model")
dbutils.widgets.text("leaf", "50", "Rows in a leaf, at least")

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
prices = dbutils.widgets.get("prices")
config = load(
    ["signals.yml" if prices else "demo.yml", "network.yml"],
    [
        f"run.name={dbutils.widgets.get('name')}",
        f"run.dir={dbutils.widgets.get('runs')}",
        f"tables.root={dbutils.widgets.get('tables')}",
        f"prices.path={prices or 'null'}",
        f"network.relearn={dbutils.widgets.get('relearn')}",
        f"network.look_backs={dbutils.widgets.get('look_backs')}",
        f"synthetic.days={dbutils.widgets.get('days')}",
        f"synthetic.tickers_per_sector={dbutils.widgets.get('tickers')}",
        f"kinds.lightgbm.trees={dbutils.widgets.get('trees')}",
        f"kinds.lightgbm.min_data_in_leaf={dbutils.widgets.get('leaf')}",
        f"validation.min_train_eras={dbutils.widgets.get('min_train_eras')}",
        "validation.period=null",
        "validation.folds=2",
        "targets.horizons=[20]",
    ],
)
run = Path(config.run.dir) / config.run.name

# COMMAND ----------

print("\n".join(train(spark, config, progress)))

# COMMAND ----------

# MAGIC %md
# MAGIC ## What the network adds
# MAGIC
# MAGIC Each pair of models on the eras that both have. An interval that holds 0 means: not to be told from chance.

# COMMAND ----------

pd.read_csv(run / "frames/comparison.csv")

# COMMAND ----------

pictures(run, "comparison", "cumulative")

# COMMAND ----------

# MAGIC %md
# MAGIC ## The graphs
# MAGIC
# MAGIC The share of edges within a sector against what chance would give, how many edges the next graph keeps, and
# MAGIC the last graph. The learner does not see sectors: what it finds of them it has found in the momentum.

# COMMAND ----------

pictures(run, "network-sectors", "network-overlap", "network-graph")

# COMMAND ----------

# MAGIC %md
# MAGIC ## The submission
# MAGIC
# MAGIC The first model's, unless `run.submission` names another one.

# COMMAND ----------

pd.read_csv(run / "predictions.csv").head()
