"""Build the feature tables and the packed training table."""

from eraflow.cli import job
from eraflow.pipeline.build import Builder
from eraflow.tables import Store


def work(spark, config, progress):
    store = Store(spark, config.tables.root)
    with store.lock():
        tables = Builder(spark, config, store, progress).tables()
    return tuple(f"table {version.table}, version {version.number}" for version in tables.all)


if __name__ == "__main__":
    raise SystemExit(job(__doc__, work))
