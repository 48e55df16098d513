"""What the tests of the benches share."""

import pytest

from services.lab.benchmarks.drifting_world import World, build
from services.lab.simulation import shop
from services.lab.simulation.catalogue import GradedCatalogue
from shared.testing.encoder import FakeEncoder


@pytest.fixture(scope="session")
def sale() -> GradedCatalogue:
    """Give the sample shop."""
    return shop.sample()


@pytest.fixture(scope="session")
def world(sale: GradedCatalogue) -> World:
    """Give what a shop of these products may ever be asked and sell, embedded without a model."""
    return build(sale, FakeEncoder(16).encode_documents, seed=1)
