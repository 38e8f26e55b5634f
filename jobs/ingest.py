"""Check the raw data and write it as a versioned table."""

from eraflow.cli import job
from eraflow.pipeline.build import ingest

if __name__ == "__main__":
    raise SystemExit(job(__doc__ or "", ingest))
