"""Build the feature tables and the packed training table."""

from eraflow.cli import job
from eraflow.pipeline.build import build

if __name__ == "__main__":
    raise SystemExit(job(__doc__ or "", build))
