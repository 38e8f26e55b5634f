"""Remove what no run has pinned and no job has taken for tables.keep_days: old versions of tables, and whole tables."""

from eraflow.cli import Option, job, leave
from eraflow.pipeline.upstream import prune

OPTIONS = (Option("--dry-run", "dry_run", "", "say what would be removed, and remove nothing", is_switch=True),)

if __name__ == "__main__":
    leave(job(__doc__ or "", prune, options=OPTIONS))
