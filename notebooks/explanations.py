# Databricks notebook source
# MAGIC %md
# MAGIC # What a model lives on
# MAGIC
# MAGIC Of a finished run, nothing is fitted: which features move its predictions (exact SHAP values), what is lost
# MAGIC when one is permuted within its era, how a prediction depends on a level, which pairs act together, and
# MAGIC whether the signs are those that finance expects. All of it on validated rows, which the model has not learned
# MAGIC from.
# MAGIC
# MAGIC The run is that of `quick_tour`; `run` names another one below `runs`.

# COMMAND ----------

dbutils.widgets.text("run", "tour", "The finished run")
dbutils.widgets.text("runs", "var/notebooks/runs", "Where runs are: a folder")
dbutils.widgets.text("eras", "40", "Validated eras in which features are permuted")
dbutils.widgets.text("rows", "1500", "Rows for dependence, interactions and single rows")

# COMMAND ----------

from pathlib import Path

import pandas as pd

from eraflow.pipeline.explain import explain
from eraflow.pipeline.predict import config_of_run
from eraflow.progress import NotebookProgress
from eraflow.reporting.inline import pictures
from eraflow.session import session

spark = session()
progress = NotebookProgress()
name = dbutils.widgets.get("run")
settings = [
    f"run.dir={dbutils.widgets.get('runs')}",
    f"explain.eras={dbutils.widgets.get('eras')}",
    f"explain.rows={dbutils.widgets.get('rows')}",
]
config = config_of_run([], settings, run=name)
out = Path(config.run.dir) / name / "explain"

# COMMAND ----------

print("\n".join(explain(spark, config, progress, run=name)))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Importance
# MAGIC
# MAGIC The mean size of a feature's SHAP value, and what the correlation loses without it. Features that say the same
# MAGIC share what they have: look at the groups, too.

# COMMAND ----------

pictures(out, "explain-importance", "explain-groups")

# COMMAND ----------

pd.read_csv(out / "permutation.csv").head(10)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Rows, and time
# MAGIC
# MAGIC A point is a row: how far the feature moves its prediction, and its level there. Below, whether importance
# MAGIC stays the same from era to era.

# COMMAND ----------

pictures(out, "explain-swarm", "explain-eras")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Why the newest rows are predicted so
# MAGIC
# MAGIC The sums of SHAP values and base are the predictions.

# COMMAND ----------

pd.read_csv(out / "why.csv").head(10)

# COMMAND ----------

# MAGIC %md
# MAGIC The whole page is `explain/explain.html` in the run's folder.
