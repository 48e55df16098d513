"""Settings for every test: a slow machine is no failure."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # here and in workers: threads that spin starve the others
os.environ["XDG_CACHE_HOME"] = str(Path(tempfile.gettempdir()) / f"headrace-tests-{os.getuid()}")
settings.register_profile("headrace", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("headrace")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make faults` say how long it kills."""
    group = parser.getgroup("headrace")
    group.addoption("--kills", type=int, default=100, help="kills of each worker that a long test kills")
    group.addoption("--kill-seed", type=int, help="what their moments are made of; absent: another each time")
