"""Check the raw data and write it as a versioned table."""

from eraflow.cli import job, leave
from eraflow.pipeline.upstream import ingest

if __name__ == "__main__":
    leave(job(__doc__ or "", ingest))
