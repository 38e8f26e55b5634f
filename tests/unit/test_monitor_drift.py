"""Live rows against the eras that were validated: what is drift, what is broken, and how often either is nothing."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from eraflow.errors import InputError
from eraflow.monitoring import drift, profile
from eraflow.monitoring.drift import Reference, discovered, drifted
from eraflow.monitoring.gate import status_of_rows
from eraflow.monitoring.profile import Profile, exposures, off_pattern, places
from eraflow.monitoring.simulated import MISSING, Universe
from eraflow.monitoring.status import Status

UNIVERSE = Universe(features=60, rows=500)
RULES = {"rate": 0.1 / 250, "fewest": 0.7, "broken_share": 0.05}


def reference_of(universe: Universe, eras: int = 60, seed: int = 0) -> Reference:
    draw = np.random.default_rng(seed)
    return Reference.of(universe.names, universe.groups, [universe.era(draw) for _ in range(eras)])


@pytest.fixture(scope="module")
def reference() -> Reference:
    return reference_of(UNIVERSE)


def status(reference: Reference, change: str, seed: int = 5) -> Status:
    return status_of_rows(reference, UNIVERSE.era(np.random.default_rng(seed), change), **RULES)


def test_a_profile_is_what_pandas_says_of_the_rows() -> None:
    levels = np.random.default_rng(1).integers(-1, 5, (200, 7)).astype(np.int8)
    levels[:, 3] = 2
    levels[:, 5] = MISSING
    found = profile.profile(levels, MISSING)
    frame = pd.DataFrame(levels.astype(float)).replace(-1.0, np.nan)
    np.testing.assert_allclose(found.missing, frame.isna().mean())
    np.testing.assert_allclose(found.level, frame.mean(), rtol=1e-12)
    np.testing.assert_allclose(found.spread, frame.std(ddof=0), atol=1e-6)
    filled = frame.fillna(frame.mean()).fillna(0.0)
    expected = filled.corr().fillna(0.0).to_numpy()[np.triu_indices(7, 1)]
    np.testing.assert_allclose(found.together, expected, atol=1e-5)
    predictions = np.random.default_rng(2).normal(size=200)
    np.testing.assert_allclose(
        exposures(levels, MISSING, predictions), filled.corrwith(pd.Series(predictions)).fillna(0.0), atol=1e-5
    )


def test_profiles_and_references_come_back_as_they_were(tmp_path: Path, reference: Reference) -> None:
    one = UNIVERSE.era(np.random.default_rng(3))
    one.write(tmp_path)
    again = profile.read(tmp_path)
    assert again is not None
    assert again.rows == one.rows
    np.testing.assert_allclose(again.level, one.level, rtol=1e-6)
    reference.write(tmp_path / "reference.npz")
    back = drift.read(tmp_path / "reference.npz")
    assert back is not None
    assert (back.names, back.families, back.eras, back.rows) == (
        reference.names, reference.families, reference.eras, reference.rows,
    )  # fmt: skip
    pd.testing.assert_frame_equal(drifted(back, one, 0.9), drifted(reference, one, 0.9))
    assert profile.read(tmp_path / "nothing") is None
    assert drift.read(tmp_path / "nothing.npz") is None


def test_files_that_are_something_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / profile.PROFILE).write_bytes(b"no profile")
    with pytest.raises(InputError, match="is no profile of rows; predict the round again with --force"):
        profile.read(tmp_path)
    (tmp_path / "reference.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(InputError, match="is no reference of eras; remove it"):
        drift.read(tmp_path / "reference.npz")
    with pytest.raises(InputError, match="3 eras are too few to tell how rows vary: 20 are needed"):
        reference_of(UNIVERSE, eras=3)
    with pytest.raises(InputError, match="the rows have 30 features, and the reference 60"):
        drifted(reference_of(UNIVERSE, 20), Universe(30, 200).era(np.random.default_rng(0)), 0.1)
    with pytest.raises(InputError, match="there are no rows"):
        profile.profile(np.zeros((0, 3), dtype=np.int8), MISSING)


def test_the_discovery_rate_is_benjamini_and_hochbergs() -> None:
    p = np.concatenate([np.random.default_rng(4).uniform(size=200), [1e-6, 1e-5, 2e-4, 3e-4, 1e-3]])
    for rate in (0.01, 0.05, 0.2):
        expected = stats.false_discovery_control(p) <= rate
        assert (discovered(p, rate) == expected).all()
    assert not discovered(np.ones(5), 0.5).any()


def test_a_weaker_pattern_is_not_off_it_and_one_that_has_turned_is() -> None:
    draw = np.random.default_rng(6)
    usual = np.corrcoef(draw.normal(size=(30, 5)), rowvar=False)[np.triu_indices(5, 1)].astype(np.float32)
    square = np.zeros((5, 5))
    square[np.triu_indices(5, 1)] = usual
    whole = np.sqrt(((square + square.T) ** 2).sum(axis=1) / 4)
    np.testing.assert_allclose(off_pattern(usual / 2, usual, 5), 0.0, atol=1e-6)
    np.testing.assert_allclose(off_pattern(-usual, usual, 5), whole, rtol=1e-6)
    assert places(7).tolist() == list(range(7))
    assert len(places(3555)) == profile.CORRELATED


@pytest.mark.parametrize(("rounds", "rate"), [(200, 0.2), pytest.param(5000, 0.1 / 250, marks=pytest.mark.soak)])
def test_rows_without_a_change_name_something_no_more_often_than_stated(
    reference: Reference, rounds: int, rate: float
) -> None:
    draw = np.random.default_rng(7)
    found = [len(drifted(reference, UNIVERSE.era(draw), rate)) > 0 for _ in range(rounds)]
    assert stats.binomtest(sum(found), rounds).proportion_ci(0.99).low <= rate


@pytest.mark.parametrize(
    ("change", "level", "words"),
    [
        ("nothing", "ok", ""),
        ("shifted", "warn", "3 of 60 features have drifted: feature_"),
        ("missing", "warn", "is missing in 2"),
        ("turned", "warn", "goes with other features otherwise by"),
        ("stuck", "block", "10 of 60 features have one value in all rows, all of group_0 among them: feature_0"),
        ("lost", "block", "10 of 60 features are missing, all of group_0 among them: feature_0, feature_1, feature_2 "
         "and 7 more"),
        ("coded", "block", "60 of 60 features have levels of another coding, all of group_0 among them"),
        ("halved", "block", "there are 250 rows, and none of the newest reference eras had fewer than 500: part of the "
         "universe is missing"),
    ],
)  # fmt: skip
def test_each_change_is_found_in_its_first_round(reference: Reference, change: str, level: str, words: str) -> None:
    found = status(reference, change)
    assert (found.level, words in "; ".join(found.reasons)) == (level, True), found


def test_a_feature_that_never_varied_alarms_for_no_grain_of_dust() -> None:
    draw = np.random.default_rng(8)
    levels = [UNIVERSE.levels(draw) for _ in range(21)]
    for each in levels:
        each[:, 0] = 2
    reference = Reference.of(UNIVERSE.names, {}, [profile.profile(each, MISSING) for each in levels[:-1]])
    live = levels[-1]
    live[0, 0] = 3
    moved = drifted(reference, profile.profile(live, MISSING), 0.1 / 250)
    assert "feature_0" not in set(moved["feature"])


@pytest.mark.parametrize("value", [2, MISSING])
@pytest.mark.parametrize(("odd", "level"), [(24, "ok"), (2, "block")])
def test_a_family_that_is_often_constant_or_absent_blocks_no_round(value: int, odd: int, level: str) -> None:
    draw = np.random.default_rng(11)
    families = {"small": UNIVERSE.names[:3], "large": UNIVERSE.names[3:]}
    levels = [UNIVERSE.levels(draw) for _ in range(61)]
    for each in [*levels[:odd], levels[-1]]:
        each[:, :3] = value
    eras = [profile.profile(each, MISSING) for each in levels]
    rules = {**RULES, "broken_share": 0.1}
    assert status_of_rows(Reference.of(UNIVERSE.names, families, eras[:-1]), eras[-1], **rules).level == level


def test_half_of_a_universe_that_has_grown_is_too_few(tmp_path: Path) -> None:
    draw = np.random.default_rng(12)
    eras = [Universe(30, rows).era(draw) for rows in range(200, 601, 10)]
    names = Universe(30, 200).names
    Reference.of(names, {}, eras).write(tmp_path / "reference.npz")
    reference = drift.read(tmp_path / "reference.npz")
    assert reference is not None
    found = status_of_rows(reference, Universe(30, 280).era(draw), **RULES)
    assert (found.level, found.reasons[0]) == (
        "block",
        "there are 280 rows, and none of the newest reference eras had fewer than 410: part of the universe is missing",
    )
    assert "rows" not in "; ".join(status_of_rows(reference, Universe(30, 560).era(draw), **RULES).reasons)


def test_a_reference_that_says_less_is_made_anew(tmp_path: Path, reference: Reference) -> None:
    reference.write(tmp_path / "whole.npz")
    with np.load(tmp_path / "whole.npz") as held:
        np.savez(tmp_path / "earlier.npz", **{name: held[name] for name in held.files if name != "newest_rows"})
    assert drift.read(tmp_path / "earlier.npz") is None


def test_eras_with_long_tails_widen_what_is_usual() -> None:
    draw = np.random.default_rng(9)

    def era(generator: np.random.Generator) -> Profile:
        one = UNIVERSE.era(generator)
        shift = stats.t.rvs(3, size=60, random_state=generator) * 0.1
        return Profile(one.rows, one.missing, one.level + shift, one.spread, one.together)

    reference = Reference.of(UNIVERSE.names, {}, [era(draw) for _ in range(60)])
    assert reference.usual[drift.LEVEL].widened > 1.2
    found = [len(drifted(reference, era(draw), 0.05)) > 0 for _ in range(60)]
    assert sum(found) <= stats.binom.ppf(0.995, 60, 0.05) + 6
