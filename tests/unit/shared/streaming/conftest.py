"""Retries without their pauses."""

from collections.abc import Iterator

import pytest
import stamina


@pytest.fixture(autouse=True, scope="session")
def _retries_do_not_wait() -> Iterator[None]:
    with stamina.set_testing(True, attempts=1_000):
        yield
