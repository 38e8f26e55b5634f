"""The training of a sequence model: runs in each of TorchDistributor's processes, on its share of the tickers.

The loss is minus the mean correlation of scores and target over eras. A correlation is made of sums over all tickers of
an era, so the processes add up these sums, and then their gradients: several processes compute what one would, up to
rounding, which long training past its best epoch lets grow.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from eraflow.models.epochs import Plan, trained
from eraflow.models.era_rows import EraRows, read_rows
from eraflow.models.networks import NETWORKS
from eraflow.models.panel import Panel, read_shards

ROUNDING = 1e-6  # of gradients, whose size here is 1e-4 and more


@dataclass(frozen=True)
class Task:
    """What to train on what. `train` and `stop` are eras; `first` the oldest era that a window reaches.

    `weights` are of the `train` eras: how much the correlation of each counts.
    """

    folder: str
    shards: int
    network: str
    features: int
    missing: int
    first: int
    train: tuple[int, ...]
    weights: tuple[float, ...]
    stop: tuple[int, ...]
    length: int
    width: int
    layers: int
    epochs: int
    patience: int
    learning_rate: float
    weight_decay: float
    eras_per_step: int
    seed: int

    @property
    def checkpoint(self) -> Path:
        return Path(f"{self.folder}.checkpoint")  # beside the rows, which are written anew when a fit goes on


def train(task: Task) -> dict[str, Any]:
    """`state` (name -> array) of the best epoch by the `stop` eras, `epoch` and `history` (mean correlation an epoch).

    Goes on from the checkpoint of the last finished epoch where there is one.
    """
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    torch.set_num_threads(1)
    if world > 1:
        dist.init_process_group("gloo")
    try:
        mine = [shard for shard in range(task.shards) if shard % world == rank]
        return _Training(task, _read(task, mine), world, rank).run()
    finally:
        if world > 1:
            dist.destroy_process_group()


def _read(task: Task, shards: list[int]) -> Panel | EraRows:
    if task.network == "tokens":
        return read_rows(Path(task.folder), shards, task.features, task.missing)
    eras = range(task.first, max(task.train + task.stop) + 1)
    return read_shards(Path(task.folder), shards, eras, task.features, task.missing)


def train_beside_others(task: Task) -> dict[str, Any]:
    """`train` in one of several processes. Only the first returns: its result is the one that is read.

    The others end at once, since gloo's threads abort some interpreters on their way out, and torchrun then ends the
    first process, perhaps before its result is written.
    """
    found = train(task)
    if int(os.environ["RANK"]) > 0:
        os._exit(0)
    return found


def correlation_gradient(scores: Tensor, target: Tensor, add: Any) -> tuple[float, Tensor]:
    """One era's correlation and its gradient by these scores; `add` adds a tensor up over the processes.

    With p = (score - mean) / deviation and y likewise: r = mean(p y), dr/dscore = (y - r p) / (n deviation).
    """
    exact, label = scores.double(), target.double()  # a mean far from 0 would eat the deviation's places
    sums = torch.stack([torch.ones_like(exact), exact, exact**2, label, label**2, exact * label]).sum(dim=1)
    n, p, pp, y, yy, py = add(sums).tolist()
    variance, target_variance = pp / n - (p / n) ** 2, yy / n - (y / n) ** 2
    if n < 3 or variance <= 1e-12 or target_variance <= 1e-12:
        return 0.0, torch.zeros_like(scores)
    deviation, target_deviation = variance**0.5, target_variance**0.5
    r = (py / n - p / n * y / n) / (deviation * target_deviation)
    standard, wanted = (exact - p / n) / deviation, (label - y / n) / target_deviation
    return r, ((wanted - r * standard) / (n * deviation)).to(scores.dtype)


@dataclass
class _Training:
    task: Task
    data: Panel | EraRows
    world: int
    rank: int

    def run(self) -> dict[str, Any]:
        task = self.task
        torch.manual_seed(task.seed)
        network = NETWORKS[task.network](task.features, task.length, task.width, task.layers)
        # Where the true gradient is 0, steps of Adam would be made of rounding, other in each number of processes.
        optimiser = torch.optim.AdamW(
            network.parameters(), task.learning_rate, weight_decay=task.weight_decay, eps=ROUNDING
        )
        plan = Plan(task.checkpoint, task.epochs, task.patience, bool(task.stop), saves=self.rank == 0)
        return trained(
            network,
            optimiser,
            plan,
            epoch=lambda number: self._epoch(network, optimiser, number),
            score=lambda: self._score(network),
        )

    def _epoch(self, network: nn.Module, optimiser: torch.optim.Optimizer, epoch: int) -> None:
        order = np.random.default_rng([self.task.seed, epoch]).permutation(self.task.train)
        mean = float(np.mean(self.task.weights))
        weight = {era: value / mean for era, value in zip(self.task.train, self.task.weights, strict=True)}
        for start in range(0, len(order), self.task.eras_per_step):
            optimiser.zero_grad()
            eras = order[start : start + self.task.eras_per_step]
            scores, targets = self._scores(network, eras)
            gradients = [
                weight[era] * correlation_gradient(s.detach(), y, self._add)[1]
                for era, s, y in zip(eras.tolist(), scores, targets, strict=True)
            ]
            every = torch.cat(scores)
            if every.requires_grad:  # not where none of this process's tickers has a target
                torch.autograd.backward(every, -torch.cat(gradients) / len(eras))
            for parameter in network.parameters():
                gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                parameter.grad = self._add(gradient)
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()

    @torch.no_grad()
    def _score(self, network: nn.Module) -> float:
        """Mean correlation over the eras that training does not see."""
        found = []
        for era in self.task.stop:
            (scores,), (target,) = self._scores(network, [era])
            found.append(correlation_gradient(scores, target, self._add)[0])
        return float(np.mean(found)) if found else 0.0

    def _scores(self, network: nn.Module, eras: Any) -> tuple[list[Tensor], list[Tensor]]:
        """The scores and targets of this process's tickers by era, from one pass through the network."""
        parts = [self.data.labelled(int(era)) for era in eras]
        windows = [self.data.windows(int(era), self.task.length, x) for era, (x, _) in zip(eras, parts, strict=True)]
        inputs = torch.from_numpy(np.concatenate(windows))
        scores = network(inputs) if len(inputs) else torch.zeros(0)
        return list(scores.split([len(x) for x, _ in parts])), [torch.from_numpy(y) for _, y in parts]

    def _add(self, values: Tensor) -> Tensor:
        if self.world > 1:
            dist.all_reduce(values)
        return values
