"""The command line in this process, as a shell would see it: an exit code, and what was printed."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.cli.main import run
from shared.infrastructure.running import Running

WIDTH = 80
TERMINAL = {"COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb"}


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """What it printed, without the padding of tables."""
        return [" ".join(line.split()) for line in self.out.splitlines()]

    @property
    def error(self) -> str:
        """Its error, which is one line of this command."""
        [line] = self.err.splitlines()
        assert line.startswith("headrace: ")
        return line.removeprefix("headrace: ")

    @property
    def usage(self) -> str:
        """What is wrong with the command line, without the frame around it."""
        return " ".join(self.err.replace("│", " ").split())

    def fits(self, width: int = WIDTH) -> bool:
        """Whether no line is wider than the terminal."""
        return max(map(len, self.out.splitlines()), default=0) <= width


Headrace = Callable[..., Finished]


def finish(capsys: pytest.CaptureFixture[str], *arguments: str) -> Finished:
    """Run a command to its end."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        run([*arguments])
    out, err = capsys.readouterr()
    return Finished(int(ended.value.code or 0), out, err)


def leave_running(data_dir: Path, ports: dict[str, int]) -> None:
    """Leave what an installation of this process would, with workers at these ports."""
    data_dir.mkdir()
    Running(
        pid=os.getpid(),
        kafka="127.0.0.1:1",
        redis="redis://127.0.0.1:2/0",
        namespace="headrace",
        topic_prefix="",
        partitions=4,
        generation="g1",
        ports=ports,
    ).write(data_dir)
