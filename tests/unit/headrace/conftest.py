"""The search API before real shards, as its own tests have it."""

from tests.unit.search.conftest import open_api, shop

__all__ = ["open_api", "shop"]
