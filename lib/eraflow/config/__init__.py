"""The configuration: frozen models of conf/*.yml. conf/base.yml holds every default; an unknown key is an error."""

from eraflow.config.loading import conf_dir, load
from eraflow.config.sections import Classic, ClassicSynthetic, Prices, Quality, Signals, Synthetic
from eraflow.config.whole import Config, fingerprint

__all__ = [
    "Classic", "ClassicSynthetic", "Config", "Prices", "Quality", "Signals", "Synthetic", "conf_dir", "fingerprint",
    "load",
]  # fmt: skip
