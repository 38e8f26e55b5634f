"""Over which universes a claim about chance or power is counted."""

from collections.abc import Sequence

import pytest


@pytest.fixture(
    scope="module", params=[pytest.param(12, marks=pytest.mark.slow), pytest.param(40, marks=pytest.mark.soak)]
)
def seeds(request: pytest.FixtureRequest) -> Sequence[int]:
    return range(request.param)
