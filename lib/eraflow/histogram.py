"""How predictions are spread, counted in a bounded number of bins: what a report draws without reading every row."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

BINS = 40


def prediction_histogram(predictions: DataFrame, bins: int = BINS) -> DataFrame:
    """`model, low, high, rows`: predictions of each model counted in equal bins from its lowest to its highest.

    At most `bins` rows a model, sorted; a bin holds its lower bound, the last one both, and empty ones are left out.
    A constant model has one bin with low = high. Nulls and NaN are not counted.

    Parameters
    ----------
    predictions : `model string, prediction double` and more; a prediction must be finite.
    """
    predicted = predictions.select("model", "prediction").where("prediction is not null and not isnan(prediction)")
    ranges = predicted.groupBy("model").agg(F.min("prediction").alias("lowest"), F.max("prediction").alias("highest"))
    width = f"(highest - lowest) / {bins}"
    last = bins - 1
    place = f"if(highest > lowest, least(floor((prediction - lowest) / ({width})), {last}), {last})"
    counted = (
        predicted.join(F.broadcast(ranges), on="model", how="inner")  # a row for each model
        .groupBy("model", "lowest", "highest", F.expr(place).alias("place"))
        .agg(F.count("*").alias("rows"))
    )
    return counted.select(
        "model",
        F.expr(f"lowest + place * ({width})").alias("low"),
        F.expr(f"if(place = {last}, highest, lowest + (place + 1) * ({width}))").alias("high"),
        "rows",
    ).orderBy("model", "low")
