"""An installation, and where a program that names nothing finds it."""

from collections.abc import Iterator

import pytest

from headrace import Client
from shared.infrastructure.stack import Stack
from tests.connected.installation import installation
from tests.connected.killing import until_ready


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with installation(tmp_path_factory.mktemp("client")) as stack:
        until_ready(stack)
        yield stack


@pytest.fixture
def here(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """Be where the installation runs."""
    monkeypatch.setenv("HEADRACE_DATA_DIR", str(stack.settings.data_dir))
    return stack


@pytest.fixture
def shop(here: Stack) -> Iterator[Client]:
    with Client() as client:
        yield client
