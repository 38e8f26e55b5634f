"""Networks that score a row by a ticker's last weeks, or by its own features. Only what runs one imports torch here."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

HEADS = 4
CATEGORIES = 6  # of a feature: unknown, and five levels
ATTENTION_VALUES = 8_000_000  # that one piece of rows may take: 32 MB


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
    """Tickers x length x (features + 1) -> one score a ticker, from the state after the last week."""

    def __init__(self, features: int, length: int, width: int, layers: int) -> None:
        super().__init__()
        self.select = VariableSelection(features + 1, width)
        self.recur = nn.LSTM(width, width, layers, batch_first=True)
        self.score = nn.Linear(width, 1, bias=False)  # a correlation does not see a constant

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.recur(self.select(x))
        return self.score(states[:, -1])[:, 0]


class TransformerNetwork(nn.Module):
    """Tickers x length x (features + 1) -> one score a ticker, from what its last week attends to in those before."""

    def __init__(self, features: int, length: int, width: int, layers: int) -> None:
        super().__init__()
        self.select = VariableSelection(features + 1, width)
        self.place = nn.Parameter(torch.zeros(length, width))
        nn.init.normal_(self.place, std=0.02)
        self.attend = _encoder(width, layers)
        self.score = nn.Linear(width, 1, bias=False)  # a correlation does not see a constant

    def forward(self, x: Tensor) -> Tensor:
        return self.score(self.attend(self.select(x) + self.place)[:, -1])[:, 0]


class TokensNetwork(nn.Module):
    """Rows x features of categories -> one score a row, from what a token of its own attends to among its features.

    A feature's category has a vector of its own, as in the FT-Transformer (Gorishniy, Rubachev, Khrulkov & Babenko
    2021). Attention takes memory and time by the square of the number of features, so rows go through in pieces, which
    the backward pass computes once more instead of keeping them.
    """

    first: Tensor  # of a feature's categories

    def __init__(self, features: int, length: int, width: int, layers: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(CATEGORIES * features, width)
        self.register_parameter("own", nn.Parameter(torch.zeros(width)))  # its key in saved models
        nn.init.normal_(self.get_parameter("own"), std=0.02)
        self.attend = _encoder(width, layers)
        self.score = nn.Linear(width, 1, bias=False)  # a correlation does not see a constant
        self.register_buffer("first", CATEGORIES * torch.arange(features), persistent=False)
        self.piece = max(16, ATTENTION_VALUES // (HEADS * (features + 1) ** 2))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([checkpoint(self._piece, part, use_reentrant=False) for part in torch.split(x, self.piece)])

    def _piece(self, x: Tensor) -> Tensor:
        tokens = self.tokens(x + self.first)
        summary = self.get_parameter("own").expand(len(x), 1, -1)
        return self.score(self.attend(torch.cat([summary, tokens], dim=1))[:, 0])[:, 0]


def _encoder(width: int, layers: int) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(width, HEADS, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)


NETWORKS: dict[str, Callable[[int, int, int, int], nn.Module]] = {
    "lstm": LstmNetwork,
    "transformer": TransformerNetwork,
    "tokens": TokensNetwork,
}
