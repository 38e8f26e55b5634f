"""Epochs of training, with a checkpoint after each and a stop once scores are no better. Needs torch."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Plan:
    """How long to train: `epochs`, or `patience` epochs without a better score where eras are `watched`.

    `checkpoint` is written after each epoch by the one process that `saves`, and read where it is there.
    """

    checkpoint: Path
    epochs: int
    patience: int
    watched: bool
    saves: bool = True


def trained(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    plan: Plan,
    epoch: Callable[[int], None],
    score: Callable[[], float],
) -> dict[str, Any]:
    """`state` (name -> array) of the best epoch, `epoch` (its number) and `history` (the score of each epoch).

    Without watched eras the last epoch counts as the best. Goes on after the last epoch that the checkpoint holds.
    """
    done: dict[str, Any] = {"epoch": 0, "history": [], "best": None, "best_epoch": 0}
    if plan.checkpoint.exists():
        done = torch.load(plan.checkpoint, weights_only=True)
        network.load_state_dict(done["network"])
        optimiser.load_state_dict(done["optimiser"])
    while done["epoch"] < plan.epochs and done["epoch"] - done["best_epoch"] < plan.patience:
        done["epoch"] += 1
        epoch(done["epoch"])
        done["history"].append(score())
        if not plan.watched or done["best"] is None or done["history"][-1] > done["history"][done["best_epoch"] - 1]:
            done["best_epoch"] = done["epoch"]
            done["best"] = {name: value.clone() for name, value in network.state_dict().items()}
        if plan.saves:
            _save({**done, "network": network.state_dict(), "optimiser": optimiser.state_dict()}, plan.checkpoint)
    state = {name: value.numpy() for name, value in done["best"].items()}
    return {"state": state, "epoch": done["best_epoch"], "history": done["history"]}


def _save(state: dict[str, Any], place: Path) -> None:
    part = place.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, place)
