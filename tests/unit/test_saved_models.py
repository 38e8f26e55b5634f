"""Models that are saved, loaded and asked for predictions of plain frames."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, rankdata

from eraflow.ensembles.neutral import exposures
from eraflow.errors import InputError
from eraflow.models import Fitted, FittedBlend, load, save
from eraflow.models.linear_weights import LinearWeights
from eraflow.models.member import Member
from eraflow.models.saved import Blend, save_blend
from eraflow.models.steps import Chosen
from eraflow.models.trees import SparkTrees

NAMES = ("a", "b", "c")
FOREST = """RandomForestRegressionModel: uid=rf, numTrees=2, numFeatures=3
  Tree 0 (weight 1.0):
    If (feature 0 <= 1.5)
     If (feature 2 <= -0.5)
      Predict: 2.0E-4
     Else (feature 2 > -0.5)
      Predict: 0.25
    Else (feature 0 > 1.5)
     Predict: 0.75
  Tree 1 (weight 1.0):
    Predict: 0.5
"""


def linear(*weights: float, seed: int = 1) -> Member:
    return Member("target", seed, (), LinearWeights(weights, 0.5))


def model(*members: Member, **more: object) -> Fitted:
    return replace(Fitted(NAMES, -1, members), **more)  # type: ignore[arg-type]


def rows(**columns: object) -> pd.DataFrame:
    plain: dict[str, object] = {"era": 7, "a": [0, 1, 4], "b": [2, 2, 2], "c": [3, None, 1]}
    return pd.DataFrame(plain | columns, index=["x", "y", "z"])


def test_levels_are_centred_and_what_is_not_known_is_the_middle() -> None:
    found = model(linear(0.1, 0.2, 0.4)).portable().predict(rows())
    assert found.to_dict() == pytest.approx({"x": 0.5 - 0.2 + 0.4, "y": 0.5 - 0.1, "z": 0.5 + 0.2 - 0.4})


@pytest.mark.parametrize("b", [[2, 2, 2], [2, None, 2], [None, None, None]])
def test_a_feature_that_an_era_does_not_have_is_missing(b: list[float | None]) -> None:
    """As when rows are packed: 2 throughout, with nulls or without."""
    forest = Member("target", 1, (), SparkTrees.of(FOREST.replace("feature 0 <= 1.5", "feature 1 <= -0.5")))
    found = model(forest, absent=2).portable().predict(rows(b=b))

    assert found.tolist() == [(0.25 + 0.5) / 2, (2.0e-4 + 0.5) / 2, (0.25 + 0.5) / 2]  # b goes left as unknown
    several = rows(b=[2, 2, 3], era=[7, 7, 8])
    assert model(forest, absent=2).portable().predict(several).tolist() == [0.375, (2.0e-4 + 0.5) / 2, (0.75 + 0.5) / 2]


def test_a_forest_of_spark_is_read_from_its_description(tmp_path: Path) -> None:
    fitted = model(Member("target", 1, (), SparkTrees.of(FOREST)))
    save(fitted, tmp_path / "forest")
    expected = [(0.25 + 0.5) / 2, (2.0e-4 + 0.5) / 2, (0.75 + 0.5) / 2]
    for one in (fitted, load(tmp_path / "forest")):
        assert one.portable().predict(rows()).tolist() == expected


def test_members_are_ranked_within_each_era() -> None:
    several = model(linear(1.0, 0.0, 0.0), linear(0.0, 0.0, -2.0, seed=2))
    frame = pd.DataFrame({"era": ["0001", "0001", "0002", "0002"], "a": [0, 4, 3, 1], "b": 2, "c": [1, 3, 0, 4]})
    found = several.portable().predict(frame)

    high = norm.ppf(0.75)
    np.testing.assert_allclose(found, [0.0, 0.0, high, -high], atol=1e-12)


def test_era_x_is_the_one_that_was_predicted_for() -> None:
    seen: list[int] = []
    plain = model(linear(1.0, 0.0, 0.0), live=101).portable()
    portable = replace(plain, values=lambda levels, eras: seen.extend(eras.tolist()) or np.zeros(len(eras)))
    portable.predict(rows(era=["X", None, "0100"]))
    replace(portable, live=None).predict(rows(era="X"))
    assert seen == [101, 101, 100, 10**6, 10**6, 10**6]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (rows().drop(columns="b"), "the frame has 0 columns 'b'; give the model one of each"),
        (pd.concat([rows(), rows()[["c"]]], axis=1), "the frame has 2 columns 'c'"),
        (rows(a=[0.0, 0.25, 1.0]), "column 'a' holds 0.25, which is no level; give 0 to 4, or nothing"),
        (rows(a=[0, 5, 1]), "column 'a' holds 5, which is no level"),
        (rows(a=["w", "x", "y"]), "column 'a' holds what is no number; give levels 0 to 4"),
        (rows(era=["7", "era8", "7"]), "column 'era' holds 'era8', which is no number of an era, nor X"),
        (rows(era=[1.0, float("inf"), 2.0]), "column 'era' holds 'inf'"),
    ],
)
def test_what_is_no_row_is_told(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        model(linear(1.0, 1.0, 1.0)).portable().predict(frame)


def test_a_saved_model_says_what_it_is_and_a_changed_one_is_refused(tmp_path: Path) -> None:
    chosen = Member("target", 3, (Chosen((0, 2), (9.0, 8.0)),), LinearWeights((0.5, 0.25), 0.0))
    save(model(chosen, linear(0.0, 1.0, 0.0), live=12, facts={"kind": "linear"}), tmp_path)
    loaded = load(tmp_path)

    assert isinstance(loaded, Fitted)
    assert (loaded.live, loaded.facts, loaded.feature_names) == (12, {"kind": "linear"}, ("a", "c", "b"))
    assert loaded.members[0].steps == chosen.steps
    about = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(about | {"inputs": ["b", "a", "c"]}))
    with pytest.raises(InputError, match="names other features than the model was saved with"):
        load(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({"feature_names": ["a"]}))
    with pytest.raises(InputError, match="is of another version of eraflow; train the model anew"):
        load(tmp_path)
    with pytest.raises(InputError, match=r"holds no model\.json; name the folder of a saved model"):
        load(tmp_path / "other")


def test_an_ensemble_is_saved_by_the_folders_of_its_models_and_moves_with_them(tmp_path: Path) -> None:
    members = {"one": model(linear(1.0, 0.5, 0.0)), "other": model(linear(0.0, 0.0, 1.0))}
    for name, member in members.items():
        save(member, tmp_path / "models" / name / "final")
    places = {name: tmp_path / "models" / name / "final" for name in members}
    save_blend(Blend(places, (0.75, 0.25), proportion=1.0, neutral_to=("a",)), tmp_path / "models/both/final")
    shutil.move(tmp_path / "models", tmp_path / "moved")

    blend = load(tmp_path / "moved/both/final")
    draw = np.random.default_rng(1)
    frame = pd.DataFrame(draw.integers(0, 5, (60, 3)), columns=list(NAMES)).assign(era=np.repeat([1, 2], 30))
    found = blend.portable().predict(frame)

    assert isinstance(blend, FittedBlend)
    for _, of_era in frame.groupby("era"):
        assert abs(exposures(found[of_era.index].to_numpy()[:, None], of_era[["a"]].to_numpy(dtype=float))).max() < 1e-9
    plain = replace(blend, proportion=0.0).portable().predict(frame)
    for _, of_era in frame.groupby("era"):
        each = [one.portable().predict(of_era) for one in members.values()]
        mixed = sum(
            weight * norm.ppf((rankdata(part) - 0.5) / len(of_era))
            for weight, part in zip((0.75, 0.25), each, strict=True)
        )
        np.testing.assert_array_equal(rankdata(np.round(mixed, 12)), rankdata(plain[of_era.index]))
