"""The main job as a careful notebook does it, in one process: python notebook.py PRICES.parquet FOLDER

pandas, TA-Lib, LightGBM and numerai-tools: daily prices -> the 14 features of `main` -> weekly eras -> levels by fifths
and a target of 20 days, neutral to sector and exposures -> purged walk-forward -> a LightGBM for each fold and one for
the newest era, with the settings of conf/base.yml -> scores by era -> submission -> a page. It takes prices as they
are: nothing is checked, masked or stored, and it makes the one target that it learns. Prints the seconds of each stage.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import altair as alt
import lightgbm as lgb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numerai_tools import scoring, signals, submissions
from pandas_talib import FEATURES, one_ticker
from scipy.special import ndtri

COLUMNS = ["ticker", "date", "high", "low", "close", "adjusted_close", "volume", "sector"]
EXPOSURES = ["beta", "size", "volatility", "momentum"]
FOLDS, MIN_TRAIN_ERAS, LAG, HORIZON, STALE = 6, 208, 2, 20, 5
EDGES, BINS = [0.05, 0.25, 0.75, 0.95], np.array([0.0, 0.25, 0.5, 0.75, 1.0])
PARAMETERS = {"objective": "regression", "learning_rate": 0.02, "max_depth": 5, "num_leaves": 31,
              "feature_fraction": 0.5, "bagging_fraction": 0.8, "bagging_freq": 1, "min_data_in_leaf": 200,
              "max_bin": 7, "num_threads": 2, "seed": 20, "deterministic": True, "force_col_wise": True,
              "verbosity": -1}  # fmt: skip
TREES = 300
SECONDS: dict[str, float] = {}


@contextmanager
def timed(stage: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    SECONDS[stage] = SECONDS.get(stage, 0.0) + time.monotonic() - started


def main(source: str, out: str) -> None:
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    with timed("prices"):
        prices = read(source)
    with timed("features"):
        sessions = pd.DatetimeIndex(np.unique(prices["date"].to_numpy()))
        eras = weekly(sessions)
        rows, index = at_eras(prices, sessions, eras)
        del prices
    with timed("training table"):
        table = labelled(rows, index, eras)
        del rows, index
    with timed("fits and predictions"):
        predictions, live = walk_forward(table, eras)
    with timed("scores"):
        scores = scored(predictions)
    with timed("submission and page"):
        submit(live, folder)
        page(scores, folder)
    mean = scores.groupby("metric")["value"].mean()
    print(mean.round(4).to_dict())
    print(json.dumps(SECONDS))


def read(source: str) -> pd.DataFrame:
    """Prices by ticker and date; tickers and sectors as categories, which take a byte or two a row."""
    table = pq.read_table(source, columns=COLUMNS, read_dictionary=["ticker", "sector"])
    prices = table.to_pandas(date_as_object=False, self_destruct=True)
    return prices.drop_duplicates(["ticker", "date"]).sort_values(["ticker", "date"], ignore_index=True)


def weekly(sessions: pd.DatetimeIndex) -> pd.Series:
    """Place of each week's last session, by the number of the era; weeks run from Saturday to Friday."""
    week = (sessions.to_period("W-FRI").asi8 - sessions[0].to_period("W-FRI").ordinal) + 1
    return pd.Series(np.arange(len(sessions)), index=week).groupby(level=0).last()


def at_eras(prices: pd.DataFrame, sessions: pd.DatetimeIndex, eras: pd.Series) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Features and exposures on the days of eras, and total-return prices, sessions x tickers."""
    place = sessions.get_indexer(prices["date"])
    bounds = [*np.flatnonzero(np.diff(prices["ticker"].cat.codes, prepend=-1)), len(prices)]
    parts = list(pairwise(bounds))
    level = np.full((len(sessions), len(parts)), np.nan, dtype=np.float64)
    adjusted, close = prices["adjusted_close"].to_numpy(), prices["close"].to_numpy()
    for column, (start, end) in enumerate(parts):
        level[place[start:end], column] = adjusted[start:end] * (close[start] / adjusted[start])
    index = pd.DataFrame(level)
    market = index.pct_change(fill_method=None).mean(axis=1).to_numpy()
    era_of = np.zeros(len(sessions), dtype=np.int32)
    era_of[eras.to_numpy()] = eras.index
    found = []
    for column, (start, end) in enumerate(parts):
        rows, days = prices.iloc[start:end], place[start:end]
        its = level[days, column]
        scale = its / close[start:end]
        features = one_ticker(rows["high"].to_numpy() * scale, rows["low"].to_numpy() * scale, its)
        features |= exposures(rows, its, market[days])
        chosen = np.flatnonzero(era_of[days])
        frame = pd.DataFrame({name: values[chosen] for name, values in features.items()}, dtype=np.float32)
        found.append(frame.assign(column=column, session=days[chosen], era=era_of[days[chosen]]))
    rows = pd.concat(found, ignore_index=True)
    first = prices.iloc[[start for start, _ in parts]]
    rows["ticker"] = first["ticker"].astype(str).to_numpy()[rows["column"]]
    rows["sector"] = first["sector"].cat.codes.to_numpy()[rows["column"]]
    return rows, index


def exposures(prices: pd.DataFrame, index: np.ndarray, market: np.ndarray) -> dict[str, np.ndarray]:
    levels = pd.Series(index)
    returns, whole = levels.pct_change(fill_method=None), pd.Series(market)
    money = pd.Series(prices["close"].to_numpy() * prices["volume"].to_numpy())
    weighted = returns.ewm(span=252, min_periods=126)
    beta = weighted.cov(whole) / whole.where(returns.notna()).ewm(span=252, min_periods=126).var()
    found = (beta, np.log1p(money.rolling(21).mean()), returns.ewm(span=60).std(), levels.pct_change(252))
    return {name: values.to_numpy() for name, values in zip(EXPOSURES, found, strict=True)}


def labelled(rows: pd.DataFrame, index: pd.DataFrame, eras: pd.Series) -> pd.DataFrame:
    """`era, session, ticker`, levels of the features by fifths of their era (-1: not known), and the target."""
    held = index.ffill(limit=STALE - 1).to_numpy()
    entry = rows["session"].to_numpy() + LAG
    last = np.minimum(entry + HORIZON, len(held) - 1)
    columns = rows["column"].to_numpy()
    with np.errstate(invalid="ignore"):
        forward = held[last, columns] / held[np.minimum(entry, len(held) - 1), columns] - 1.0
    forward[entry + HORIZON >= len(held)] = np.nan
    groups = rows.groupby("era")[FEATURES]
    places = (groups.rank() - 0.5) / groups.transform("count")
    levels = np.minimum(np.floor(places * 5), 4).fillna(-1).astype(np.int8)
    target = np.full(len(rows), np.nan, dtype=np.float32)
    for at in rows.groupby("era").indices.values():
        target[at] = neutral_target(
            forward[at], rows["sector"].to_numpy()[at], rows[EXPOSURES].to_numpy(dtype=np.float64)[at]
        )
    return pd.concat([rows[["era", "session", "ticker"]], levels], axis=1).assign(target=target)


def neutral_target(returns: np.ndarray, sectors: np.ndarray, exposed: np.ndarray) -> np.ndarray:
    """Bins of what a regression on sectors and exposures leaves of known returns; NaN of the others."""
    out, labelled = np.full(len(returns), np.nan), ~np.isnan(returns)
    dummies = (sectors[labelled, None] == np.unique(sectors[labelled])).astype(float)
    regressors = np.hstack([dummies, np.nan_to_num(normal(exposed[labelled]))])
    if labelled.sum() < regressors.shape[1] + 10:
        return out
    scores = normal(returns[labelled, None])[:, 0]
    left = scores - regressors @ np.linalg.lstsq(regressors, scores, rcond=None)[0]
    places = (pd.Series(left).rank().to_numpy() - 0.5) / len(left)
    out[labelled] = BINS[np.searchsorted(EDGES, places)]
    return out


def normal(values: np.ndarray) -> np.ndarray:
    ranks = pd.DataFrame(values).rank()
    return ndtri(((ranks - 0.5) / ranks.count()).to_numpy())


def walk_forward(table: pd.DataFrame, eras: pd.Series) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions of every era after the first training part, and those of the newest era."""
    learned = np.sort(table.loc[table["target"].notna(), "era"].unique())
    begins = eras[learned].to_numpy()
    ends = begins + LAG + HORIZON
    start = next(at for at in range(len(learned)) if (ends[:at] < begins[at] + LAG).sum() >= MIN_TRAIN_ERAS)
    parts = []
    for fold, block in enumerate(np.array_split(np.arange(start, len(learned)), FOLDS), 1):
        train = learned[: block[0]][ends[: block[0]] < begins[block[0]] + LAG]
        model = fitted(table[table["era"].isin(train)])
        rows = table[table["era"].isin(learned[block])]
        parts.append(rows[["era", "ticker", *FEATURES, "target"]].assign(fold=fold, prediction=predicted(model, rows)))
    model = fitted(table)
    newest = table[table["era"] == table["era"].max()]
    return pd.concat(parts, ignore_index=True), newest[["ticker"]].assign(prediction=predicted(model, newest))


def fitted(rows: pd.DataFrame) -> lgb.Booster:
    rows = rows[rows["target"].notna()]
    return lgb.train(PARAMETERS, lgb.Dataset(rows[FEATURES], rows["target"]), TREES)


def predicted(model: lgb.Booster, rows: pd.DataFrame) -> np.ndarray:
    return model.predict(rows[FEATURES], num_threads=PARAMETERS["num_threads"])


def scored(predictions: pd.DataFrame) -> pd.DataFrame:
    """`era, metric, value` by numerai-tools."""
    found, before, was = [], None, 0
    for era, rows in predictions.groupby("era"):
        rows = rows.set_index("ticker").sort_index()
        rows = rows[rows["target"].notna()]
        prediction, target = rows[["prediction"]], rows["target"].astype(float)
        features = rows[FEATURES].astype(float)
        features = features.loc[:, features.std() > 0]
        found += [
            (era, "numerai_corr", scoring.numerai_corr(prediction, target).iloc[0]),
            (era, "spearman", scoring.spearman_correlation(target, prediction["prediction"])),
            (era, "pearson", scoring.pearson_correlation(target, prediction["prediction"])),
            (era, "fnc", scoring.feature_neutral_corr(prediction, features, target).iloc[0]),
            (era, "max_exposure", scoring.max_feature_correlation(prediction["prediction"], features)[1]),
        ]
        if before is not None and was == era - 1:
            both = before.index.intersection(prediction.index)
            if len(both) >= 0.8 * max(len(before), len(prediction)):
                found.append((era, "churn", signals.churn(prediction["prediction"], before["prediction"])))
        before, was = prediction, era
    return pd.DataFrame(found, columns=["era", "metric", "value"])


def submit(live: pd.DataFrame, folder: Path) -> None:
    """The newest era's predictions as Numerai takes them, checked by its own rules."""
    signal = (live["prediction"].rank() - 0.5) / len(live)
    frame = pd.DataFrame({"ticker": live["ticker"], "signal": signal}).sort_values("ticker", ignore_index=True)
    submissions.validate_submission_signals(frame[["ticker"]], frame.copy())
    frame.to_csv(folder / "predictions.csv", index=False)


def page(scores: pd.DataFrame, folder: Path) -> None:
    """Scores by era as CSV, and a page with a table and the running sum of CORR."""
    scores.to_csv(folder / "per_era.csv", index=False)
    values = scores.groupby("metric")["value"]
    table = values.agg(["count", "mean", "std"])
    table["sharpe"] = table["mean"] / table["std"]
    corr = scores[scores["metric"] == "numerai_corr"]
    drawn = corr.assign(sum=corr["value"].cumsum())
    chart = alt.Chart(drawn).mark_line().encode(x="era:Q", y=alt.Y("sum:Q", title="running sum of CORR"))
    html = chart.properties(width=700, height=250).to_html()
    (folder / "report.html").write_text(html.replace("<body>", f"<body>{table.round(4).to_html()}"), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
