"""The training of L2GMOM: one era's tickers are one graph, one era at a time is in memory. Needs torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eraflow.models.epochs import Plan, trained
from eraflow.models.era_graph import era_candidates
from eraflow.models.panel import Panel
from eraflow.models.unrolled import NOTHING, Candidates, L2gmomNetwork

Loss = Callable[[Tensor, Tensor], Tensor]
LOSSES: Mapping[str, Loss] = {  # of the values of several eras and what these weigh, which adds up to 1
    "correlation": lambda values, weights: -(weights @ values),
    "sharpe": lambda values, weights: -(weights @ values) / torch.sqrt(_variance(values, weights) + NOTHING),
}


@dataclass(frozen=True)
class Task:
    """What to train, and on which eras of a panel; the checkpoint and the eras' candidates are kept in `folder`.

    `weights`: what each era of `train` counts.
    """

    folder: str
    train: tuple[int, ...]
    weights: tuple[float, ...]
    stop: tuple[int, ...]
    length: int
    degree: float
    layers: int
    shared: bool
    graph: str
    loss: str
    epochs: int
    patience: int
    learning_rate: float
    weight_decay: float
    eras_per_step: int
    seed: int


def train(task: Task, data: Panel) -> dict[str, Any]:
    """`state` (name -> array) of the best epoch by the `stop` eras, its number `epoch`, and `history`.

    The history holds of each epoch what the loss raises, over the `stop` eras: mean correlation, or Sharpe ratio.
    """
    torch.set_num_threads(1)
    return _Training(task, data).run()


def scored(network: L2gmomNetwork, data: Panel, era: int, length: int, degree: float) -> tuple[Any, Any]:
    """Places of an era's nodes in the panel, and their scores."""
    nodes, distances, theta = era_candidates(data, era, length, degree)
    with torch.no_grad():
        return nodes, network(Candidates.of(distances, theta), _values(data, era, nodes)).numpy()


def _values(data: Panel, era: int, nodes: Any) -> Tensor:
    """Nodes x features: the levels of the era itself."""
    return torch.from_numpy(np.ascontiguousarray(data.seen(era, 1, nodes)[0][:, 0]))


@dataclass(frozen=True)
class _Training:
    task: Task
    data: Panel

    @cached_property
    def _weight(self) -> dict[int, float]:
        return dict(zip(self.task.train, self.task.weights, strict=True))

    def run(self) -> dict[str, Any]:
        task = self.task
        torch.manual_seed(task.seed)
        network = L2gmomNetwork(self.data.levels.shape[2], task.layers, task.shared, task.graph)
        learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
        optimiser = torch.optim.AdamW(learned, task.learning_rate, weight_decay=task.weight_decay)
        plan = Plan(Path(task.folder) / "checkpoint.pt", task.epochs, task.patience, bool(task.stop))

        def epoch(number: int) -> None:
            order = np.random.default_rng([task.seed, number]).permutation(task.train)
            for eras in np.array_split(order, -(-len(order) // task.eras_per_step)):
                self._step(network, learned, eras.tolist())
                torch.nn.utils.clip_grad_norm_(learned, 1.0)
                optimiser.step()

        return trained(network, optimiser, plan, epoch, lambda: self._score(network))

    def _step(self, network: L2gmomNetwork, learned: Sequence[Tensor], eras: Sequence[int]) -> None:
        """Sets the gradients of the loss over some eras.

        Each era's value gives its own gradients, and the loss says how much each counts: so even a Sharpe ratio, which
        needs all values at once, holds one era's graph at a time.
        """
        values, gradients = [], []
        for value in self._each(network, eras):
            gradients.append(torch.autograd.grad(value, learned, allow_unused=True, materialize_grads=True))
            values.append(value.detach())
        every = torch.stack(values).requires_grad_()
        weights = torch.tensor([self._weight[era] for era in eras])
        (counts,) = torch.autograd.grad(LOSSES[self.task.loss](every, weights / weights.sum()), every)
        for parameter, parts in zip(learned, zip(*gradients, strict=True), strict=True):
            parameter.grad = torch.einsum("e,e...->...", counts, torch.stack(parts))

    @torch.no_grad()
    def _score(self, network: L2gmomNetwork) -> float:
        """What the loss raises, over the eras that training does not see."""
        if not self.task.stop:
            return 0.0
        values = torch.stack(list(self._each(network, self.task.stop)))
        return float(-LOSSES[self.task.loss](values, torch.full_like(values, 1.0 / len(values))))

    def _each(self, network: L2gmomNetwork, eras: Iterable[int]) -> Iterator[Tensor]:
        """Of each era the correlation of scores and target, or the return of the scores' positions."""
        value = _correlation if self.task.loss == "correlation" else _return
        for era in eras:
            nodes, graph = self._graph(era)
            target = torch.from_numpy(self.data.target[nodes, era - self.data.eras.start])
            labelled = ~torch.isnan(target)
            scores = network(graph, _values(self.data, era, nodes))
            yield value(scores[labelled], target[labelled])

    def _graph(self, era: int) -> tuple[Any, Candidates]:
        """An era's nodes and candidates; found once and kept as a file, since they do not depend on the network."""
        place = Path(self.task.folder) / f"era={era}.npz"
        if not place.exists():
            nodes, distances, theta = era_candidates(self.data, era, self.task.length, self.task.degree)
            graph = Candidates.of(distances, theta)
            first, second = graph.first.int(), graph.second.int()
            part = place.with_suffix(".part.npz")
            np.savez(part, nodes=nodes, first=first, second=second, z=graph.z, nearest=graph.nearest)
            os.replace(part, place)
            return nodes, graph
        with np.load(place) as kept:
            first, second, z, nearest = (torch.from_numpy(kept[name]) for name in ("first", "second", "z", "nearest"))
            return kept["nodes"], Candidates(len(kept["nodes"]), first.long(), second.long(), z, nearest)


def _variance(values: Tensor, weights: Tensor) -> Tensor:
    return weights @ (values - weights @ values) ** 2


def _correlation(scores: Tensor, target: Tensor) -> Tensor:
    """Pearson's; 0 where there is nothing that varies."""
    if len(scores) < 3:
        return scores.sum() * 0.0
    scores, target = scores - scores.mean(), target - target.mean()
    return (scores * target).mean() / torch.sqrt((scores**2).mean() * (target**2).mean() + NOTHING)


def _return(scores: Tensor, target: Tensor) -> Tensor:
    """Mean of position times target: positions are between -1 and 1, and the target is what is above the era's mean."""
    if len(scores) < 3:
        return scores.sum() * 0.0
    return (torch.tanh(scores) * (target - target.mean())).mean()
