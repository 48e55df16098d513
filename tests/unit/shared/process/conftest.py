"""Logging is configured for a whole process: after each test it is as it was."""

import logging
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root, level, handlers = logging.getLogger(), logging.getLogger().level, logging.getLogger().handlers[:]
    libraries = ("aiokafka", "kafka", "faust", "httpx", "httpcore", "uvicorn", "mode", "aiokafka.test")
    before = {name: (logging.getLogger(name).level, logging.getLogger(name).filters[:]) for name in libraries}
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
    for name, (its_level, filters) in before.items():
        logging.getLogger(name).setLevel(its_level)
        logging.getLogger(name).filters[:] = filters
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
