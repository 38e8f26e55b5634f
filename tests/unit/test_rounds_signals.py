"""Signals: coverage, churn and turnover against what was effective before, and the mix with it."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numerai_tools.scoring import spearman_correlation
from tests.rounds import CLOSES, DATE, KIND, NUMBER, OPENS, ROWS, SIGNALS, Scene, frame, names, scene, write_predicted

from eraflow.config import load
from eraflow.errors import InputError
from eraflow.outcome import Code
from eraflow.pipeline.live_round import _Predicting, _put
from eraflow.progress import PlainProgress
from eraflow.rounds.smoothing import limits, mixed, mixed_eras


@pytest.fixture
def at_round(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        yield made


def next_round(made: Scene, date: str, signal: pd.DataFrame) -> None:
    """Opens the following day's round and predicts it."""
    number = NUMBER + 1
    made.state.add_round(SIGNALS, number, OPENS + timedelta(days=1), CLOSES + timedelta(days=1), date)
    made.state.universes[KIND[SIGNALS], number] = frozenset(names(SIGNALS))
    live = made.state.files["signals/v2.1/live.parquet"]
    pd.read_parquet(live).assign(date=date).to_parquet(live, index=False)
    made.clock.now = OPENS + timedelta(days=1, minutes=5)
    write_predicted(made.runs, "signals", SIGNALS, {"lightgbm": signal}, number, date=date)


def test_a_change_is_estimated_against_the_round_before(at_round: Scene) -> None:
    first = at_round.call(SIGNALS)
    assert not [line for line in first.lines if "churn" in line and "estimates" in line]

    next_round(at_round, "2026-12-01", frame(SIGNALS, seed=2))
    found = at_round.call(SIGNALS)
    (estimates,) = [line for line in found.lines if "estimates" in line]
    before, after = (frame(SIGNALS, seed=seed).set_index("numerai_ticker")["signal"] for seed in (1, 2))
    churn = 1 - spearman_correlation(after.sort_index(), before.sort_index())
    assert f"max churn {churn:.3f} (Numerai's limit 0.15), max turnover " in estimates
    assert "(limit 0.25), mean neutral churn " in estimates
    assert "  Numerai's own: max churn 0.000, max turnover 0.000" in found.lines


def test_an_unusual_coverage_is_refused(at_round: Scene) -> None:
    at_round.call(SIGNALS)
    next_round(at_round, "2026-12-01", frame(SIGNALS).iloc[:110])
    found = at_round.call(SIGNALS)
    assert found.code == Code.BLOCKED
    assert "covers 73.3% of the live universe, and the last 1 covered about 100.0%" in found.lines[0]
    assert at_round.call(SIGNALS, "submit.coverage=0.3").code == Code.DONE


def test_the_mix_is_sent_and_is_the_same_each_time(at_round: Scene) -> None:
    smooth = "submit.smooth=0.5"
    first = at_round.call(SIGNALS, smooth)
    assert "  nothing to smooth with: no earlier round has an effective signal of these names" in first.lines

    next_round(at_round, "2026-12-01", frame(SIGNALS, seed=2))
    found = at_round.call(SIGNALS, smooth)
    assert "  mixed with 50% of the last effective signal" in found.lines
    universe = pd.DataFrame({"numerai_ticker": names(SIGNALS)})
    mix = mixed(frame(SIGNALS, seed=2), frame(SIGNALS), 0.5, universe)
    assert at_round.held(SIGNALS)[-1] == (NUMBER + 1, mix.to_csv(index=False).encode())
    assert at_round.call(SIGNALS, smooth).code == Code.NOTHING_TO_DO
    assert len(at_round.held(SIGNALS)) == 2


def test_an_earlier_signal_that_is_none_stops_nothing(at_round: Scene) -> None:
    at_round.call(SIGNALS)
    at_round.state.submissions[0]["content"] = b"ticker,signal,date\nA,0.5,2026-11-30\n"  # as another program may send
    copy = next((at_round.folder / "rounds/sent").iterdir())
    copy.write_text("numerai_ticker,signal\nX,y\n")
    next_round(at_round, "2026-12-01", frame(SIGNALS, seed=2))
    found = at_round.call(SIGNALS, "submit.smooth=0.5")
    assert found.code == Code.DONE
    assert "  nothing to smooth with: no earlier round has an effective signal of these names" in found.lines
    assert [line for line in found.lines if line.startswith("  churn and turnover not estimated: ")]


def test_a_stale_live_file_is_noticed_where_the_api_tells_no_date(at_round: Scene) -> None:
    next_round(at_round, "2026-11-30", frame(SIGNALS))  # opens on 2026-12-02
    at_round.state.rounds[-1]["dataDatestamp"] = None
    found = at_round.call(SIGNALS)
    assert (found.code, at_round.held(SIGNALS)) == (Code.FAILED, [])
    assert "is of 2026-12-01, and the live file that Numerai serves is of 2026-11-30" in found.lines[0]


def test_a_mix_ranks_both_and_takes_an_absent_name_for_the_middle() -> None:
    universe = pd.DataFrame({"numerai_ticker": ["A", "B", "C", "D", "E"], "composite_figi": ["1", "2", "3", "4", "5"]})
    now = pd.DataFrame({"numerai_ticker": ["A", "B", "C"], "signal": [0.9, 0.2, 0.1]})
    last = pd.DataFrame({"composite_figi": ["1", "4", "9"], "prediction": [0.4, 0.3, 0.2]})
    # Ranks of now: A 5/6, B 1/2, C 1/6; of last: A 3/4, D 1/4; absent .5. The mean: A .79, B .5, C .33, D .375.
    expected = pd.DataFrame({"numerai_ticker": ["A", "B", "C", "D"], "signal": [0.875, 0.625, 0.125, 0.375]})
    pd.testing.assert_frame_equal(mixed(now, last, 0.5, universe), expected)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_more_of_the_last_signal_churns_less(share: float) -> None:
    universe = pd.DataFrame({"numerai_ticker": names(SIGNALS)})
    draw = np.random.default_rng(4)
    now, last = (pd.DataFrame({"numerai_ticker": names(SIGNALS), "signal": draw.random(ROWS)}) for _ in range(2))
    mix = mixed(now, last, share, universe).set_index("numerai_ticker")["signal"]
    with_last = spearman_correlation(mix, last.set_index("numerai_ticker")["signal"].reindex(mix.index))
    assert with_last == pytest.approx({0.0: 0.0, 0.5: 0.7, 0.9: 0.99}[share], abs=0.12)


def test_what_the_server_does_not_tell_is_left_out() -> None:
    assert limits({}) == ""
    assert limits({"prevWeekChurnMax": 0.12}) == "Numerai's own: max churn 0.120"
    assert DATE < "2026-12-01"


def test_what_the_server_finds_out_later_is_added_to_the_books(at_round: Scene) -> None:
    at_round.call(SIGNALS)
    at_round.state.submissions[0]["prevWeekChurnMax"] = 0.21
    for _ in range(2):
        found = at_round.call(SIGNALS)
        assert (found.code, found.lines[-1]) == (3, "  Numerai's own: max churn 0.210, max turnover 0.000")
    assert at_round.events() == ["sending", "created", "effective", "effective"]


def test_a_live_file_of_another_version_is_not_put_beside_the_others(at_round: Scene, tmp_path: Path) -> None:
    folder = tmp_path / "numerai"
    folder.mkdir()
    live = at_round.state.files["signals/v2.1/live.parquet"]
    _put(live, folder, ["feature_value_factor"])
    assert pd.read_parquet(folder / "live.parquet").equals(pd.read_parquet(live))
    newer = tmp_path / "newer.parquet"
    pd.read_parquet(live).drop(columns="feature_value_factor").to_parquet(newer)
    with pytest.raises(InputError, match="takes feature_value_factor, which the round's live file does not have"):
        _put(newer, folder, ["feature_value_factor"])
    assert pd.read_parquet(folder / "live.parquet").equals(pd.read_parquet(live))
    _put(newer, folder, ["feature_momentum_12w_factor"])  # what the run does not take may go
    assert "feature_value_factor" not in pd.read_parquet(folder / "live.parquet")


def test_a_run_is_given_the_places_and_late_countries_of_the_day() -> None:
    config = load([], ["dates.late_countries=[Japan, 'Hong Kong']", "dates.holidays=days.csv", "prices.path=a.csv"])
    given = _Predicting(lambda: None, config, PlainProgress())._data_settings()  # type: ignore[arg-type, return-value]
    found = load([], given)
    assert (found.dates, found.prices) == (config.dates, config.prices)


def test_eras_are_mixed_one_after_the_other_as_rounds_are() -> None:
    draw, universe = np.random.default_rng(6), pd.DataFrame({"numerai_ticker": names(SIGNALS)})
    signals = [pd.DataFrame({"numerai_ticker": names(SIGNALS), "signal": draw.random(ROWS)}) for _ in range(3)]
    rows = pd.concat([
        pd.DataFrame({"id": one["numerai_ticker"] + f"_2024-01-{7 * era:02}", "era": era, "prediction": one["signal"]})
        for era, one in enumerate(signals, 1)
    ])  # fmt: skip
    second = mixed(signals[1], signals[0], 0.3, universe)
    third = mixed(signals[2], second, 0.3, universe)

    found = mixed_eras(rows.sample(frac=1, random_state=0), 0.3)
    assert found["era"].value_counts().to_dict() == {1: ROWS, 2: ROWS, 3: ROWS}
    last = found[found["era"] == 3]
    assert last["id"].str.removesuffix("_2024-01-21").tolist() == third["numerai_ticker"].tolist()
    assert last["prediction"].tolist() == third["signal"].tolist()
