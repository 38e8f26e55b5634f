"""Networks that score a ticker by its last weeks. Needs torch, so that only what runs one imports this module."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class VariableSelection(nn.Module):
    """Features weighted by what they all say in the week (after Lim, Arik, Loeff & Pfister 2021).

    ... x inputs -> ... x width. The weights are a softmax, so that a feature that does not matter can be left out.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(nn.Linear(inputs, width), nn.ELU(), nn.Linear(width, inputs), nn.Softmax(dim=-1))
        self.project = nn.Linear(inputs, width)
        self.inputs = inputs

    def forward(self, x: Tensor) -> Tensor:
        return self.project(self.inputs * self.weigh(x) * x)


class LstmNetwork(nn.Module):
    """Tickers x length x inputs -> one score a ticker, from the state after the last week."""

    def __init__(self, inputs: int, length: int, width: int, layers: int) -> None:
        super().__init__()
        self.select = VariableSelection(inputs, width)
        self.recur = nn.LSTM(width, width, layers, batch_first=True)
        self.score = nn.Linear(width, 1, bias=False)  # a correlation does not see a constant

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.recur(self.select(x))
        return self.score(states[:, -1])[:, 0]


class TransformerNetwork(nn.Module):
    """Tickers x length x inputs -> one score a ticker, from what its last week attends to in the weeks before."""

    HEADS = 4

    def __init__(self, inputs: int, length: int, width: int, layers: int) -> None:
        super().__init__()
        self.select = VariableSelection(inputs, width)
        self.place = nn.Parameter(torch.zeros(length, width))
        nn.init.normal_(self.place, std=0.02)
        layer = nn.TransformerEncoderLayer(width, self.HEADS, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.attend = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.score = nn.Linear(width, 1, bias=False)  # a correlation does not see a constant

    def forward(self, x: Tensor) -> Tensor:
        return self.score(self.attend(self.select(x) + self.place)[:, -1])[:, 0]


NETWORKS: dict[str, Callable[[int, int, int, int], nn.Module]] = {
    "lstm": LstmNetwork,
    "transformer": TransformerNetwork,
}
