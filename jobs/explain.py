"""Show what a finished run's models live on: importance, SHAP, dependence, interactions, and why each live row.

Nothing is fitted. Writes explain.html, its figures and tables below <run.dir>/<run>/explain/.
"""

from eraflow.cli import Option, job, leave
from eraflow.pipeline.explain import explain
from eraflow.pipeline.predict import SETTABLE, config_of_run

OPTIONS = (
    Option("--run", "run", "NAME", "the finished run below run.dir"),
    Option("--models", "models", "NAME", "models and ensembles of it (default: explain.models)", many=True),
    Option("--rows", "rows", "ID", "live rows to show one by one, with LIME beside SHAP where it can speak", many=True),
    Option("--features", "features", "NAME", "features whose dependence is drawn beside the largest", many=True),
    Option("--export", "export", "FOLDER", "write all that was found as parquet, too"),
)

if __name__ == "__main__":
    leave(job(__doc__ or "", explain, options=OPTIONS, read=config_of_run, settings=SETTABLE))
