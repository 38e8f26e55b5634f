# Databricks notebook source
# MAGIC %md
# MAGIC # Monitoring, and what goes wrong
# MAGIC
# MAGIC Does a model still do what validation promised? Labels of neighbouring rounds overlap, so that plain control
# MAGIC charts alarm all the time: the limits here are set by simulation, and a slot without a change alarms in at
# MAGIC most a tenth of the years. First the slots of `live_round`, as `eraflow monitor` looks at them. Then what
# MAGIC their rows and scores would look like if something had gone wrong.

# COMMAND ----------

dbutils.widgets.text("folder", "var/notebooks/round", "The folder of live_round")
dbutils.widgets.text("features", "100", "Features of invented rows")
dbutils.widgets.text("rows", "1000", "Rows in each invented era")
dbutils.widgets.text("rounds", "500", "Rounds of an invented score")

# COMMAND ----------

from pathlib import Path

import numpy as np
import pandas as pd

from eraflow.config import load
from eraflow.monitoring.calibration import SHARPE, simulated
from eraflow.monitoring.drift import Reference
from eraflow.monitoring.gate import status_of_rows
from eraflow.monitoring.simulated import CHANGES, Universe
from eraflow.monitoring.streams import Kind, judged, paths
from eraflow.pipeline.monitoring import monitor
from eraflow.pipeline.watching import rules
from eraflow.progress import NotebookProgress
from eraflow.reporting.inline import pictures
from eraflow.session import session

folder = dbutils.widgets.get("folder")
places = [f"run.dir={folder}/runs", f"tables.root={folder}/tables", f"submit.dir={folder}/books"]
config = load(["round-demo.yml"], places)

# COMMAND ----------

outcome = monitor(session(), config, NotebookProgress(), offline=True)
print("\n".join(outcome.lines))

# COMMAND ----------

pictures(Path(folder) / "books/monitor", "monitor-distance", "monitor-rows")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Rows
# MAGIC
# MAGIC Features in groups, as Numerai's are, and one round with each change. Features that have moved are a warning.
# MAGIC Rows that are broken block the round: nothing is sent, and the reason is told.

# COMMAND ----------

universe = Universe(features=int(dbutils.widgets.get("features")), rows=int(dbutils.widgets.get("rows")))
draw = np.random.default_rng(1)
reference = Reference.of(universe.names, universe.groups, [universe.era(draw) for _ in range(60)])
seen = {change: status_of_rows(reference, universe.era(draw, change), **rules(config.monitor)) for change in CHANGES}
pd.DataFrame([(change, found.level, "; ".join(found.reasons)) for change, found in seen.items()],
             columns=["what was changed", "status", "why"])  # fmt: skip

# COMMAND ----------

# MAGIC %md
# MAGIC ## Scores
# MAGIC
# MAGIC Rounds of a 20-day target, five a week, against 50 validation labels without overlap. The same rounds as they
# MAGIC are, with a mean that has fallen to 0, and with the sign turned. A mean that falls to 0 takes more than a year
# MAGIC to be told from chance: no chart does much better, since a year of rounds holds a dozen labels.

# COMMAND ----------

kind, labels = Kind(overlap=20, weekly=5), 50
limits = config.monitor.limits(kind.overlap, kind.weekly, labels)
rounds = simulated(draw, 1, int(dbutils.widgets.get("rounds")), kind, labels)
scores, eras = rounds.scores[0], rounds.eras[0]
streams = {"as validated": scores, "mean 0": scores - SHARPE, "sign turned": -scores}
charts = {name: paths(values, eras, kind) for name, values in streams.items()}
verdicts = {name: judged(found, limits) for name, found in charts.items()}
pd.DataFrame([(name, found.level, "; ".join(found.reasons)) for name, found in verdicts.items()],
             columns=["rounds", "status", "why"])  # fmt: skip

# COMMAND ----------

# MAGIC %md
# MAGIC The CUSUM every fifty rounds, and its limit: what the score has fallen short of its validation mean by, added
# MAGIC up.

# COMMAND ----------

pd.DataFrame({name: found.cusum[49::50] for name, found in charts.items()}).assign(limit=limits.cusum).round(1)
