# Databricks notebook source
# MAGIC %md
# MAGIC # A live round
# MAGIC
# MAGIC What a participant does each round, Classic and Signals, against a stand-in for Numerai's server that runs
# MAGIC here: no account, and nothing leaves this machine. Small runs are trained on invented data, a round opens, and
# MAGIC one command brings its live files, predicts, checks, sends, and reads back what the server has. Then the same
# MAGIC command again: everything is effective, so there is nothing to do.
# MAGIC
# MAGIC For the real round see `docs/rounds.md`: name your models in `submit.slots`, keep the key in the environment,
# MAGIC and call `eraflow round --config mine.yml --send` every few minutes while rounds open.

# COMMAND ----------

dbutils.widgets.text("folder", "var/notebooks/round", "Where runs, tables and books go: a folder")
dbutils.widgets.text("rows", "300", "Rows in each era of the invented Classic")

# COMMAND ----------

import pandas as pd

from eraflow.config import load
from eraflow.pipeline.round_demo import demo
from eraflow.progress import NotebookProgress
from eraflow.session import session

progress = NotebookProgress()
folder = dbutils.widgets.get("folder")
config = load(
    ["round-demo.yml"],
    [
        f"run.dir={folder}/runs",
        f"tables.root={folder}/tables",
        f"submit.dir={folder}/books",
        f"classic_synthetic.rows_per_era={dbutils.widgets.get('rows')}",
    ],
)

# COMMAND ----------

outcome = demo(session, config, progress)
print("\n".join(outcome.lines))

# COMMAND ----------

# MAGIC %md
# MAGIC ## The books
# MAGIC
# MAGIC A line for each event. `effective` means that the server's newest valid submission of the round is this file.
# MAGIC They are not what decides: before each sending the server is asked what it holds.

# COMMAND ----------

books = pd.read_json(f"{folder}/books/ledger.jsonl", lines=True, dtype={"submission": str})
books[["at", "round", "slot", "event", "submission"]]

# COMMAND ----------

# MAGIC %md
# MAGIC What was sent stays beside them, by the hash of its content.

# COMMAND ----------

pd.read_csv(f"{folder}/books/sent/{books['sha256'].iloc[0]}.csv").head()
