"""Over which universes a claim about chance or power is counted."""

from collections.abc import Sequence

import pytest

FEW, MANY = 12, 40


@pytest.fixture(
    scope="module", params=[pytest.param(FEW, marks=pytest.mark.slow), pytest.param(MANY, marks=pytest.mark.soak)]
)
def seeds(request: pytest.FixtureRequest) -> Sequence[int]:
    return range(request.param)
