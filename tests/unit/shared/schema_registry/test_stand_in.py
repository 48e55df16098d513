"""The registry of the tests keeps the contract of a real one."""

import pytest

from tests.contracts.schema_registry import SchemaRegistryContract
from tests.schema_registries import stand_in


class TestStandIn(SchemaRegistryContract):
    @pytest.fixture
    def url(self):
        with stand_in() as site:
            yield site.url
