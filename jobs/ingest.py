"""Check the raw data and write it as a versioned table."""

from eraflow.cli import job
from eraflow.pipeline.build import Builder
from eraflow.tables import Store


def work(spark, config, progress):
    store = Store(spark, config.tables.root)
    with store.lock():
        version = Builder(spark, config, store, progress).prices()
    return (f"table {version.table}, version {version.number}",)


if __name__ == "__main__":
    raise SystemExit(job(__doc__, work))
