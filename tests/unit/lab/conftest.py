"""What the tests of the lab share."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.infrastructure.running import Running


@pytest.fixture
def running_at() -> Callable[..., None]:
    """Leave what an installation of this process would in its data directory."""

    def write(data_dir: Path, **fields: object) -> None:
        usual = {
            "pid": os.getpid(),
            "kafka": "127.0.0.1:1",
            "redis": "redis://127.0.0.1:2/0",
            "namespace": "headrace",
            "topic_prefix": "",
            "partitions": 4,
            "generation": "g1",
        }
        Running.model_validate({**usual, **fields}).write(data_dir)

    return write
