"""The log of every worker that a failed test ran, under the report: its directory goes with the test."""

from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import pytest

from shared.infrastructure.stack import Stack

LINES = 100


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the ends of the logs under the report of a test that failed."""
    report = yield
    if report.failed:
        report.sections += [(f"the end of {log}", end_of(log)) for log in logs_of(item.funcargs.values())]
    return report


def logs_of(arguments: Iterable[object]) -> list[Path]:
    """Return the logs below the directories and installations that a test was given."""
    return sorted({log for directory in _directories(arguments) for log in directory.rglob("*.log")})


def end_of(log: Path) -> str:
    """Return its last lines."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-LINES:])


def _directories(arguments: Iterable[object]) -> Iterator[Path]:
    for argument in arguments:
        if isinstance(argument, Stack):
            yield argument.logs()
        elif isinstance(argument, Path) and argument.is_dir():
            yield argument
