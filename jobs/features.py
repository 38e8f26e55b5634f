"""Build the feature tables and the packed training table, or bring them up to date."""

from eraflow.cli import Option, day, job, leave
from eraflow.pipeline.upstream import build

OPTIONS = (
    Option("--from", "first", "DATE", "make the features of this and later days again", day),
    Option("--to", "last", "DATE", "with --from: no later days than this", day),
    Option("--export", "export", "FOLDER", "write the features as plain parquet, with a dictionary of the columns"),
)

if __name__ == "__main__":
    leave(job(__doc__ or "", build, options=OPTIONS))
