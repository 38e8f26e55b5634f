"""The training of a sequence model: runs in each of TorchDistributor's processes, on its share of the tickers.

The loss is minus the mean correlation of scores and target over eras. A correlation is made of sums over all tickers of
an era, so the processes add up these sums, and then their gradients: several processes compute what one would.
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
        return Path(self.folder) / "checkpoint.pt"


def train(task: Task) -> dict[str, Any]:
    """`state` (name -> array) of the best epoch by the `stop` eras, `epoch` and `history` (mean correlation an epoch).

    Goes on from the checkpoint of the last finished epoch where there is one.
    """
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    torch.set_num_threads(1)
    if world > 1:
        dist.init_process_group("gloo")
    try:
        eras = range(task.first, max(task.train + task.stop) + 1)
        mine = [shard for shard in range(task.shards) if shard % world == rank]
        data = read_shards(Path(task.folder), mine, eras, task.features, task.missing)
        return _Training(task, data, world, rank).run()
    finally:
        if world > 1:
            dist.destroy_process_group()


def correlation_gradient(scores: Tensor, target: Tensor, add: Any) -> tuple[float, Tensor]:
    """One era's correlation and its gradient by these scores; `add` adds a tensor up over the processes.

    With p = (score - mean) / deviation and y likewise: r = mean(p y), dr/dscore = (y - r p) / (n deviation).
    """
    own = torch.stack([torch.ones_like(scores), scores, scores**2, target, target**2, scores * target]).sum(dim=1)
    n, p, pp, y, yy, py = add(own.double()).tolist()
    variance, target_variance = pp / n - (p / n) ** 2, yy / n - (y / n) ** 2
    if n < 3 or variance <= 1e-12 or target_variance <= 1e-12:
        return 0.0, torch.zeros_like(scores)
    deviation, target_deviation = variance**0.5, target_variance**0.5
    r = (py / n - p / n * y / n) / (deviation * target_deviation)
    standard, label = (scores - p / n) / deviation, (target - y / n) / target_deviation
    return r, (label - r * standard) / (n * deviation)


@dataclass
class _Training:
    task: Task
    data: Panel
    world: int
    rank: int

    def run(self) -> dict[str, Any]:
        task = self.task
        torch.manual_seed(task.seed)
        network = NETWORKS[task.network](task.features + 1, task.length, task.width, task.layers)
        # Where the true gradient is 0, steps of Adam would be made of rounding, other in each number of processes.
        optimiser = torch.optim.AdamW(
            network.parameters(), task.learning_rate, weight_decay=task.weight_decay, eps=ROUNDING
        )
        done: dict[str, Any] = {"epoch": 0, "history": [], "best": None, "best_epoch": 0}
        if task.checkpoint.exists():
            done = torch.load(task.checkpoint, weights_only=True)
            network.load_state_dict(done["network"])
            optimiser.load_state_dict(done["optimiser"])
        while done["epoch"] < task.epochs and done["epoch"] - done["best_epoch"] < task.patience:
            done["epoch"] += 1
            self._epoch(network, optimiser, done["epoch"])
            done["history"].append(self._score(network))
            unwatched = not task.stop
            if unwatched or done["best"] is None or done["history"][-1] > done["history"][done["best_epoch"] - 1]:
                done["best_epoch"] = done["epoch"]
                done["best"] = {name: value.clone() for name, value in network.state_dict().items()}
            self._save({**done, "network": network.state_dict(), "optimiser": optimiser.state_dict()})
        state = {name: value.numpy() for name, value in done["best"].items()}
        return {"state": state, "epoch": done["best_epoch"], "history": done["history"]}

    def _epoch(self, network: nn.Module, optimiser: torch.optim.Optimizer, epoch: int) -> None:
        order = np.random.default_rng([self.task.seed, epoch]).permutation(self.task.train)
        mean = np.mean(self.task.weights)
        weight = {era: own / mean for era, own in zip(self.task.train, self.task.weights, strict=True)}
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
                every.backward(-torch.cat(gradients) / len(eras))
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

    def _save(self, state: dict[str, Any]) -> None:
        if self.rank == 0:
            part = self.task.checkpoint.with_suffix(".part")
            torch.save(state, part)
            os.replace(part, self.task.checkpoint)
