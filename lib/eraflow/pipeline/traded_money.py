"""Whether price times volume may be a feature: not where closes hold later dividends."""

from __future__ import annotations

from pyspark.sql import SparkSession

from eraflow.config import Config
from eraflow.features import sets
from eraflow.progress import Progress
from eraflow.sources.price_files import surveyed

NOTE = (
    "Close times volume of these files is not the money that was traded: closes are adjusted for dividends that came "
    "later, or volumes for splits that closes are not adjusted for. So features of price times volume, and the "
    "exposure to size, are left out ({names}); features.traded_money=always keeps them."
)


def settled(spark: SparkSession, config: Config, progress: Progress) -> Config:
    """The config with `features.traded_money` always or never, where it says sound; a note of it says what is left out.

    InputError: price files that cannot be read.
    """
    if config.features.traded_money != "sound":
        return config if config.features.traded_money == "always" else _without(config)
    if config.source != "prices" or surveyed(spark, config.prices).multiplies:
        return config.model_copy(update={"features": config.features.model_copy(update={"traded_money": "always"})})
    names = sets.of_traded_money([*sets.feature_set(config.features.set), *sets.EXPOSURES])
    note = NOTE.format(names=", ".join(names))
    progress.note(note)
    notes = " ".join(filter(None, (config.prices.note, note)))
    return _without(config.model_copy(update={"prices": config.prices.model_copy(update={"note": notes})}))


def _without(config: Config) -> Config:
    exposures = sets.of_traded_money(sets.EXPOSURES)
    features, targets = config.features, config.targets
    rules = features.model_copy(
        update={
            "traded_money": "never",
            "neutral_to": tuple(name for name in features.neutral_to if name not in exposures),
        }
    )
    kept = targets.model_copy(update={"exposures": tuple(name for name in targets.exposures if name not in exposures)})
    return config.model_copy(update={"features": rules, "targets": kept})
