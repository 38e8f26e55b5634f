"""Training of sequence models: the loss, what planted effect is found, resumed and shared work. Needs torch."""

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import binom

torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")

from eraflow.models.networks import NETWORKS  # noqa: E402
from eraflow.models.panel import Panel, read_shards  # noqa: E402
from eraflow.models.sequence_training import Task, correlation_gradient, train  # noqa: E402
from eraflow.scoring import mean_interval  # noqa: E402

SHARDS, TICKERS, ERAS, FEATURES = 4, 240, 90, 4
KINDS = ("lstm", "transformer")
ONE_KIND = ("lstm", pytest.param("transformer", marks=pytest.mark.soak))


def task(folder: Path, network: str, **changes: object) -> Task:
    """Training on `shards`, whose targets only the level of feature 1 four weeks ago tells."""
    made = Task(
        folder=str(folder),
        shards=SHARDS,
        network=network,
        features=FEATURES,
        missing=-1,
        first=1,
        train=tuple(range(9, 70)),
        weights=(1.0,) * 61,
        stop=tuple(range(75, 91)),
        length=8,
        width=16,
        layers=1,
        epochs=8,
        patience=8,
        learning_rate=0.01,
        weight_decay=1e-4,
        eras_per_step=4,
        seed=3,
    )
    return replace(made, **changes)


def shards(folder: Path, seed: int = 0) -> Path:
    draw = np.random.default_rng(seed)
    levels = draw.integers(0, 5, (TICKERS, ERAS, FEATURES)).astype(np.int8)
    target = draw.normal(size=(TICKERS, ERAS)).astype(np.float32)
    target[:, 4:] += 0.5 * (levels[:, :-4, 1] - 2) / np.sqrt(2)
    for shard in range(SHARDS):
        part = range(shard, TICKERS, SHARDS)
        (folder / f"shard={shard}").mkdir(parents=True)
        rows = {
            "ticker": pa.array([f"T{ticker}" for ticker in part for _ in range(ERAS)]),
            "era": pa.array([era for _ in part for era in range(1, ERAS + 1)], pa.int32()),
            "features": pa.array(levels[part].reshape(-1, FEATURES).tolist(), pa.list_(pa.int8())),
            "target": pa.array(target[part].ravel()),
        }
        pq.write_table(pa.table(rows), folder / f"shard={shard}" / "rows.parquet")
    return folder


def test_the_gradient_is_that_of_the_correlation() -> None:
    torch.manual_seed(1)
    scores, target = torch.randn(50, requires_grad=True), torch.randn(50)
    correlation = torch.corrcoef(torch.stack([scores, target]))[0, 1]
    correlation.backward()
    found, gradient = correlation_gradient(scores.detach(), target, lambda sums: sums)

    assert found == pytest.approx(correlation.item(), abs=1e-6)
    torch.testing.assert_close(gradient, scores.grad, rtol=0, atol=1e-6)


def test_a_constant_far_from_0_takes_no_places_from_the_gradient() -> None:
    draw = np.random.default_rng(2)
    small, target = torch.from_numpy(draw.integers(-50, 50, 200) / 64).float(), torch.from_numpy(draw.normal(size=200))
    near, gradient = correlation_gradient(small, target.float(), lambda sums: sums)
    far, other = correlation_gradient(small + 1024, target.float(), lambda sums: sums)

    assert far == pytest.approx(near, abs=1e-7)
    torch.testing.assert_close(other, gradient, rtol=1e-6, atol=1e-9)


def test_scores_without_variation_have_no_gradient() -> None:
    found, gradient = correlation_gradient(torch.ones(9), torch.arange(9.0), lambda sums: sums)
    assert found == 0.0
    assert not gradient.any()


@pytest.mark.parametrize("network", KINDS)
def test_an_effect_of_an_earlier_week_is_found(network: str, tmp_path: Path) -> None:
    found = train(task(shards(tmp_path), network))
    # A perfect score would correlate by .5 / sqrt(1.25) = .447; the last week alone says nothing.
    assert found["history"][found["epoch"] - 1] == max(found["history"])
    assert max(found["history"]) > 0.3


@pytest.mark.parametrize("network", KINDS)
def test_training_that_was_interrupted_ends_as_if_it_had_not_been(network: str, tmp_path: Path) -> None:
    whole = train(task(shards(tmp_path / "whole"), network, epochs=3))
    train(task(shards(tmp_path / "parts"), network, epochs=1))
    resumed = train(task(tmp_path / "parts", network, epochs=3))

    assert resumed["history"] == whole["history"]
    for name, value in whole["state"].items():
        np.testing.assert_array_equal(resumed["state"][name], value)


def test_eras_without_weight_are_not_learned_from(tmp_path: Path) -> None:
    # The effect is planted in every era; with the weight on two eras only, these are learned by heart.
    few = (0.0,) * 59 + (1.0,) * 2
    alone = train(task(shards(tmp_path / "alone"), "lstm", train=(68, 69), weights=(1.0, 1.0), epochs=1))
    among = train(task(shards(tmp_path / "among"), "lstm", weights=few, epochs=1, eras_per_step=61))
    one, other = scores(task(tmp_path, "lstm"), alone["state"]), scores(task(tmp_path, "lstm"), among["state"])
    assert np.corrcoef(one, other)[0, 1] > 0.999


def test_it_stops_once_the_stop_eras_score_no_better(tmp_path: Path) -> None:
    found = train(task(shards(tmp_path), "lstm", learning_rate=1e-12, epochs=20, patience=2))
    assert len(found["history"]) < 20


@pytest.mark.slow
@pytest.mark.parametrize("network", ONE_KIND)
def test_two_processes_give_the_result_of_one(network: str, tmp_path: Path) -> None:
    asked = task(shards(tmp_path / "two"), network, epochs=3)
    one = train(task(shards(tmp_path / "one"), network, epochs=3))
    (tmp_path / "task.pickle").write_bytes(pickle.dumps(asked))
    script = tmp_path / "run.py"
    script.write_text(
        "import os, pickle, sys\nfrom pathlib import Path\nfrom eraflow.models.sequence_training import train\n"
        "here = Path(sys.argv[1])\nfound = train(pickle.loads((here / 'task.pickle').read_bytes()))\n"
        "if os.environ['RANK'] == '0':\n    (here / 'found.pickle').write_bytes(pickle.dumps(found))\n"
    )
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    subprocess.run([*run, str(script), str(tmp_path)], check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    two = pickle.loads((tmp_path / "found.pickle").read_bytes())

    np.testing.assert_allclose(two["history"], one["history"], atol=1e-3)
    assert np.corrcoef(scores(asked, one["state"]), scores(asked, two["state"]))[0, 1] > 0.999


JUDGED, SEEDS = range(77, ERAS + 1), range(10)


@pytest.mark.slow
@pytest.mark.parametrize("network", ONE_KIND)
def test_an_earlier_week_is_found_in_nine_of_ten_universes(network: str, tmp_path: Path) -> None:
    found = 0
    for seed in SEEDS:
        learned, watched = tuple(range(9, 61)), tuple(range(65, 73))
        made = task(shards(tmp_path / str(seed), seed), network, train=learned, weights=(1.0,) * 52, stop=watched)
        state = train(made)["state"]
        data = read_shards(tmp_path / str(seed), range(SHARDS), range(1, ERAS + 1), FEATURES, -1)
        every = np.arange(TICKERS)
        found += rises(data, [ran(made, state, data.windows(era, made.length, every)) for era in JUDGED])
    assert found >= 9


@pytest.mark.slow
def test_trees_on_the_last_week_do_not_see_it(tmp_path: Path) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    found = 0
    for seed in SEEDS:
        folder = shards(tmp_path / str(seed), seed)
        data = read_shards(folder, range(SHARDS), range(1, ERAS + 1), FEATURES, -1)
        learned = lightgbm.Dataset(data.levels[:, 8:72].reshape(-1, FEATURES), data.target[:, 8:72].ravel())
        trees = lightgbm.train({"verbosity": -1, "num_threads": 1, "seed": 1}, learned, 100)
        found += rises(data, [trees.predict(data.levels[:, era - 1]) for era in JUDGED])
    assert found <= binom.ppf(0.995, len(SEEDS), 0.025)  # an interval of 95 % lies above 0 so often by chance


def rises(data: Panel, by_era: Sequence[np.ndarray]) -> bool:
    """Whether the mean correlation of the judged eras is above 0 by its 95 % interval."""
    values = [np.corrcoef(said, data.target[:, era - 1])[0, 1] for era, said in zip(JUDGED, by_era, strict=True)]
    interval = mean_interval(np.array(values), 1)
    assert interval
    return interval[0] > 0


def scores(made: Task, state: dict[str, np.ndarray]) -> np.ndarray:
    """What a trained network says of 500 invented windows."""
    windows = np.random.default_rng(9).integers(-2, 3, (500, made.length, made.features + 1)) / 2
    return ran(made, state, windows.astype(np.float32))


def ran(made: Task, state: dict[str, np.ndarray], windows: np.ndarray) -> np.ndarray:
    network = NETWORKS[made.network](made.features, made.length, made.width, made.layers)
    network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    with torch.no_grad():
        return network(torch.from_numpy(windows)).numpy()
