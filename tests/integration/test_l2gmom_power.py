"""L2GMOM learns a planted network effect end to end, and what it learns of the graph is worth something.

Ten universes of 60 tickers in hidden groups of three: the momentum of the other two drives a ticker. Each is learned on
its first eras and scored on its last, purged; the controls are the same training of the head alone, on the layers as
they begin, and without a graph.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from tests.integration.test_null_and_power import NETWORK
from tests.integration.universes import OVERLAP, Universe

from eraflow.features.cross_section import MISSING
from eraflow.models.panel import Panel
from eraflow.scoring import mean_interval, numerai_corr
from eraflow.validation import WalkForward, watched_block

SEEDS = range(10)
SPLITTER, WATCHED = WalkForward(folds=1, min_train_eras=110), 20
SETTINGS = {"length": 26, "degree": 10.0, "layers": 10, "shared": False, "loss": "correlation", "epochs": 10,
            "patience": 10, "learning_rate": 0.05, "weight_decay": 0.01, "eras_per_step": 8}  # fmt: skip


def era_scores(universe: Universe, graph: str, folder: Path) -> npt.NDArray[np.float64]:
    """numerai_corr of each era that is validated."""
    torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")
    from eraflow.models.l2gmom_training import Task, scored, train
    from eraflow.models.unrolled import L2gmomNetwork

    levels = np.rint(2.0 * universe.levels.transpose(1, 0, 2) + 2.0).astype(np.int8)
    eras = range(universe.spans[0].era, universe.spans[-1].era + 1)
    assert len(eras) == len(universe.spans)
    data = Panel(tuple(map(str, range(len(levels)))), eras, levels, universe.target.T.astype(np.float32), MISSING)
    (fold,) = SPLITTER.split(universe.spans)
    chosen, watched = watched_block([span for span in universe.spans if span.era in fold.train], WATCHED)
    folder.mkdir()
    made = Task(str(folder), tuple(chosen), (1.0,) * len(chosen), tuple(watched), graph=graph, seed=1, **SETTINGS)
    network = L2gmomNetwork(levels.shape[2], made.layers, made.shared, graph)
    network.load_state_dict({name: torch.from_numpy(value) for name, value in train(made, data)["state"].items()})
    values = []
    for era in fold.validation:
        nodes, scores = scored(network, data, era, made.length, made.degree)
        target = pd.Series(data.target[nodes, era - eras.start].astype(np.float64))
        values.append(numerai_corr(pd.Series(scores), target))
    return np.array(values)


def rises(values: npt.NDArray[np.float64]) -> bool:
    """Whether the mean over eras is above 0 by its 95 % interval."""
    interval = mean_interval(values, OVERLAP)
    assert interval
    return interval[0] > 0


def shape(network: float) -> object:
    from dataclasses import replace

    return replace(NETWORK, network=network, ensemble=None, alone=True, warm_up=60)
