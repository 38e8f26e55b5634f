"""Predict the newest round by a finished run: files for Numerai below <run.dir>/<run>/rounds/<date>/.

Nothing is fitted, and the run itself stays as it is. The same rows again: nothing is done.
"""

from eraflow.cli import Option, day, job, leave
from eraflow.pipeline.predict import SETTABLE, config_of_run, predict

OPTIONS = (
    Option("--run", "run", "NAME", "the finished run below run.dir whose models predict, or champion:NAME"),
    Option("--date", "day", "DATE", "of Classic: when the round opened (default: the day of live.parquet)", day),
    Option("--round", "number", "NUMBER", "the round's number, for the manifest", int),
    Option("--era", "era", "NUMBER", "of Classic: the era of the live rows, which feature momentum asks for", int),
    Option("--force", "force", "", "put new predictions in place of others of that date", is_switch=True),
)

if __name__ == "__main__":
    leave(job(__doc__ or "", predict, options=OPTIONS, read=config_of_run, settings=SETTABLE, lazily=True))
