"""A shell as a newcomer has it: the environment is active, an installation runs, a page says what to type."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.command_line import TERMINAL

ROOT = Path(__file__).parents[2]
MOST_SECONDS = 900
"""So long a block may take: one that never ends is no block to type."""


class Newcomer:
    """Types blocks of the pages in a directory; `addresses` that pages name become those that are here.

    `at` is where they are typed, if that is a directory in which nothing is to be written; `settings` are
    more of the environment.
    """

    def __init__(
        self,
        data_dir: Path,
        directory: Path,
        addresses: Mapping[str, str] | None = None,
        *,
        at: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        commands = directory / "bin"
        commands.mkdir()
        headrace = commands / "headrace"
        headrace.write_text(f'#!/bin/sh\nexec {sys.executable} -m services.cli.main "$@"\n')
        headrace.chmod(0o755)
        (commands / "python3").symlink_to(sys.executable)
        activate = directory / ".venv" / "bin" / "activate"
        activate.parent.mkdir(parents=True)
        activate.touch()  # what it would do is done
        self._commands, self._directory, self._addresses = commands, at or directory, addresses or {}
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")},
            **TERMINAL,
            "PATH": f"{commands}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HEADRACE_DATA_DIR": str(data_dir),
            **(settings or {}),
        }

    def has(self, command: str, script: str) -> None:
        """Put a command in the newcomer's path, in place of one that needs the network."""
        file = self._commands / command
        file.write_text(f"#!/bin/sh\nset -e\n{script}\n")
        file.chmod(0o755)

    def types(self, text: str, *, program: str = "bash") -> str:
        """Run it to its end and return what was printed; what fails on the way fails the test."""
        options = {"cwd": self._directory, "env": self._environment, "text": True, "timeout": MOST_SECONDS}
        done = subprocess.run(self._command(text, program), capture_output=True, check=False, **options)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    @contextmanager
    def leaves_running(self, text: str, *, until: str) -> Iterator[list[str]]:
        """Start it and give its lines once one has these words; in the end stop it as Ctrl-C does."""
        with subprocess.Popen(
            self._command(text, "bash"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self._directory,
            env=self._environment,
            process_group=0,
        ) as process:
            assert process.stdout is not None
            lines: list[str] = []
            for line in process.stdout:
                lines.append(line)
                if until in line:
                    break
            assert process.poll() is None, "".join(lines)
            try:
                yield lines
            finally:
                os.killpg(process.pid, signal.SIGINT)
                process.communicate(timeout=90)

    def calls(self, addresses: Mapping[str, str]) -> None:
        """From now on these addresses of the pages are those."""
        self._addresses = {**self._addresses, **addresses}

    def _command(self, text: str, program: str) -> list[str]:
        for written, here in self._addresses.items():
            text = text.replace(written, here)
        return [program, "-e", "-c", text] if program == "bash" else [program, "-c", text]
