"""Training of L2GMOM: what neighbours' features tell is found; determinism, early stopping, resume. Needs torch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")

from eraflow.models.era_graph import era_candidates  # noqa: E402
from eraflow.models.l2gmom_training import LOSSES, Task, scored, train  # noqa: E402
from eraflow.models.panel import Panel  # noqa: E402
from eraflow.models.unrolled import L2gmomNetwork  # noqa: E402

TICKERS, ERAS, FEATURES, GROUP = 60, 60, 3, 3


def universe(seed: int = 0) -> Panel:
    """Groups of three move together; the target is what feature 1 of the other two says. A tenth is unknown."""
    draw = np.random.default_rng(seed)
    shared = np.repeat(draw.normal(size=(TICKERS // GROUP, ERAS, FEATURES)), GROUP, axis=0)
    values = 0.8 * shared + 0.6 * draw.normal(size=(TICKERS, ERAS, FEATURES))
    levels = np.digitize(values, [-0.84, -0.25, 0.25, 0.84]).astype(np.int8)
    mine = (levels[..., 1] - 2.0).reshape(-1, GROUP, ERAS)
    others = (mine.sum(axis=1, keepdims=True) - mine).reshape(TICKERS, ERAS)
    target = 0.3 * others + draw.normal(size=others.shape)
    target[draw.random(target.shape) < 0.1] = np.nan
    levels[draw.random(levels.shape) < 0.1] = -1
    return Panel(tuple(f"T{n}" for n in range(TICKERS)), range(1, ERAS + 1), levels, target.astype(np.float32), -1)


def task(folder: Path, **changes: object) -> Task:
    train_eras = tuple(range(10, 40))
    made = Task(folder=str(folder), train=train_eras, weights=(1.0,) * len(train_eras), stop=tuple(range(42, 50)),
                length=8, degree=5.0, layers=8, shared=False, graph="learned", loss="correlation", epochs=4, patience=4,
                learning_rate=0.05, weight_decay=0.01, eras_per_step=4, seed=3)  # fmt: skip
    folder.mkdir(exist_ok=True)
    return replace(made, **changes)


def later_correlation(made: Task, data: Panel, found: dict[str, dict[str, np.ndarray]]) -> float:
    network = L2gmomNetwork(FEATURES, made.layers, made.shared, made.graph)
    network.load_state_dict({name: torch.from_numpy(value) for name, value in found["state"].items()})
    correlations = []
    for era in range(52, ERAS + 1):
        nodes, scores = scored(network, data, era, made.length, made.degree)
        target = data.target[nodes, era - 1]
        labelled = ~np.isnan(target)
        correlations.append(np.corrcoef(scores[labelled], target[labelled])[0, 1])
    return float(np.mean(correlations))


@pytest.mark.parametrize(("loss", "least"), [("correlation", 0.2), ("sharpe", 0.2)])
def test_what_neighbours_tell_is_found_in_later_eras(loss: str, least: float, tmp_path: Path) -> None:
    data, made = universe(), task(tmp_path, loss=loss, epochs=8, patience=8)
    found = train(made, data)

    assert found["history"][found["epoch"] - 1] == max(found["history"])
    assert later_correlation(made, data, found) > least
    assert (found["state"]["learner.log_a"] != 0).all()
    assert found["state"]["learner.pace"].shape == (8,)


def test_a_fixed_graph_and_none_learn_the_head_only(tmp_path: Path) -> None:
    fixed = train(task(tmp_path / "fixed", graph="fixed"), universe())
    assert not any(value.any() for name, value in fixed["state"].items() if name.startswith("learner"))
    assert set(train(task(tmp_path / "none", graph="none"), universe())["state"]) == {"head.weight", "head.bias"}


def test_training_that_was_interrupted_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = train(task(tmp_path / "whole", epochs=3), universe())
    train(task(tmp_path / "parts", epochs=1), universe())
    resumed = train(task(tmp_path / "parts", epochs=3), universe())

    assert resumed["history"] == whole["history"]
    for name, value in whole["state"].items():
        np.testing.assert_array_equal(resumed["state"][name], value)
    other = train(task(tmp_path / "other", epochs=3, seed=4), universe())
    assert other["history"] != whole["history"]


def test_it_stops_once_the_watched_eras_score_no_better(tmp_path: Path) -> None:
    found = train(task(tmp_path, learning_rate=1e-12, epochs=20, patience=2), universe())
    assert len(found["history"]) < 20


def test_the_future_and_unwatched_eras_change_nothing(tmp_path: Path) -> None:
    data = universe()
    levels, target = data.levels.copy(), data.target.copy()
    levels[:, 49:] = 4
    target[:, [*range(39, 41), *range(49, ERAS)]] = 100.0
    first, other = (
        train(task(tmp_path / str(at), epochs=1), changed)
        for at, changed in enumerate((data, replace(data, levels=levels, target=target)))
    )
    for name, value in first["state"].items():
        np.testing.assert_array_equal(other["state"][name], value)


def test_eras_count_by_their_weights_in_both_losses() -> None:
    values, weights = torch.tensor([0.1, -0.2, 0.4]), torch.tensor([0.5, 0.25, 0.25])
    mean = 0.5 * 0.1 - 0.25 * 0.2 + 0.25 * 0.4
    variance = 0.5 * (0.1 - mean) ** 2 + 0.25 * (-0.2 - mean) ** 2 + 0.25 * (0.4 - mean) ** 2

    assert LOSSES["correlation"](values, weights).item() == pytest.approx(-mean)
    assert LOSSES["sharpe"](values, weights).item() == pytest.approx(-mean / variance**0.5)


def test_candidates_differ_by_what_is_known_of_both() -> None:
    data = universe()
    nodes, found, theta = era_candidates(data, 20, 4, 2.0)

    rows = data.levels[:, 16:20].reshape(TICKERS, -1)
    both = (rows[:, None] != -1) & (rows[None] != -1)
    squared = ((rows[:, None].astype(float) - rows[None]) / 2) ** 2
    wanted = np.where(both, squared, 1.0).mean(axis=2)
    assert len(nodes) == TICKERS
    np.testing.assert_allclose(found.z, wanted[found.edges.first, found.edges.second], atol=1e-12)
    assert found.nearest.shape == (TICKERS, 20)
    assert theta > 0


def test_too_few_tickers_make_no_graph() -> None:
    data = universe()
    levels = data.levels.copy()
    levels[19:, 19] = -1
    nodes, found, _ = era_candidates(replace(data, levels=levels), 20, 4, 2.0)

    assert list(nodes) == list(range(19))
    assert len(found.edges) == 0
