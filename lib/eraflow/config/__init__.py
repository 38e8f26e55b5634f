"""The configuration: frozen models of conf/*.yml. conf/base.yml holds every default; an unknown key is an error."""

from eraflow.config.loading import conf_dir, laid_over, load, recipe
from eraflow.config.sections import Classic, ClassicSynthetic, Prices, Quality, Signals, Synthetic
from eraflow.config.whole import Config, fingerprint, section_fields

__all__ = [
    "Classic", "ClassicSynthetic", "Config", "Prices", "Quality", "Signals", "Synthetic", "conf_dir", "fingerprint",
    "laid_over", "load", "recipe", "section_fields",
]  # fmt: skip
