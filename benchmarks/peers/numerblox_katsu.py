"""numerblox' own price features over the whole file: python numerblox_katsu.py IN.parquet OUT.parquet

Other work than the project's: `KatsuFeatureGenerator` with the windows of its example makes 12 features of the
adjusted close: rate of change, volatility and gap to the moving average over 20, 40 and 60 bars, an RSI and a relative
MACD with its signal. No stochastic, no volatility-scaled return, nothing winsorised. It starts one process a core.
numerblox brings some thirty packages, so it is run by a Python of its own.
"""

from __future__ import annotations

import sys

import pandas as pd
from numerblox.preprocessing import KatsuFeatureGenerator

WINDOWS = [20, 40, 60]


def main(source: str, target: str) -> None:
    bars = pd.read_parquet(source, columns=["ticker", "date", "adjusted_close"])
    generator = KatsuFeatureGenerator(windows=WINDOWS, close_col="adjusted_close", verbose=False)
    # Its rows come back in the order of a groupby on tickers, which is that of the file.
    features = pd.DataFrame(generator.fit_transform(bars), columns=generator.get_feature_names_out())
    pd.concat([bars[["ticker", "date"]], features], axis=1).to_parquet(target, compression="zstd", index=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
