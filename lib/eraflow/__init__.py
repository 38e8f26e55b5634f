"""eraflow: Numerai data to features, purged era cross-validation, models, scores and submissions, on Spark."""

__version__ = "0.1.0"
