"""What tests of faults begin with, in a module with a fixture `stack` and a `SEED` of all its choices."""

import pytest

from shared.infrastructure.stack import Stack
from tests.connected.killing import assert_proven
from tests.connected.observed import ObservedTraffic
from tests.connected.traffic import Traffic


@pytest.fixture(scope="module")
def traffic(stack: Stack, request: pytest.FixtureRequest) -> Traffic:
    """Return traffic of which the first part is sent, and proven."""
    traffic = Traffic(stack.settings, request.module.SEED)
    traffic.send(60, 60)
    assert_proven(stack)
    return traffic


@pytest.fixture(scope="module")
def observed(stack: Stack, request: pytest.FixtureRequest) -> ObservedTraffic:
    """Return traffic that is looked at, of which every product is written."""
    observed = ObservedTraffic(stack, products=40, seed=request.module.SEED)
    observed.write_each()
    return observed
