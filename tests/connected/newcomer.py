"""A shell as a newcomer has it: the environment is active, an installation runs, a page says what to type."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from shared.infrastructure.stack import Stack
from tests.command_line import TERMINAL

ROOT = Path(__file__).parents[2]


class Newcomer:
    """Types blocks of the pages in a directory; `addresses` that pages name become those that are here."""

    def __init__(self, stack: Stack, directory: Path, addresses: Mapping[str, str] | None = None) -> None:
        commands = directory / "bin"
        commands.mkdir()
        headrace = commands / "headrace"
        headrace.write_text(f'#!/bin/sh\nexec {sys.executable} -m services.cli.main "$@"\n')
        headrace.chmod(0o755)
        (commands / "python3").symlink_to(sys.executable)
        self._directory, self._addresses = directory, addresses or {}
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")},
            **TERMINAL,
            "PATH": f"{commands}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HEADRACE_DATA_DIR": str(stack.settings.data_dir),
        }

    def types(self, text: str, *, program: str = "bash") -> str:
        """Run it to its end and return what was printed; what fails on the way fails the test."""
        for written, here in self._addresses.items():
            text = text.replace(written, here)
        command = [program, "-e", "-c", text] if program == "bash" else [program, "-c", text]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=self._directory,
            env=self._environment,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout
