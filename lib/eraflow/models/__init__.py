"""Models: what learns (needs Spark), and what has learned, is saved and predicts (needs it only for Spark's frames)."""

from eraflow.models.blend import FittedBlend
from eraflow.models.fitted import Fitted, Portable
from eraflow.models.saved import load, save

__all__ = ["Fitted", "FittedBlend", "Portable", "load", "save"]
