"""A worker ends when it is told to, whatever else does not."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shared.infrastructure import topics
from shared.settings import Settings

pytestmark = pytest.mark.connected


def test_a_worker_whose_faust_never_stops_stops_its_parts_and_ends_with_code_0(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    asyncio.run(topics.apply(Settings(kafka=kafka, topic_prefix=topic_prefix)))
    given = {"KAFKA": kafka, "TOPIC_PREFIX": topic_prefix, "DATA_DIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.connected.stuck_worker"],
        env={**os.environ, **{f"HEADRACE_{name}": value for name, value in given.items()}},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert "part started\n" in process.stdout  # reads on until then
        process.send_signal(signal.SIGTERM)
        said = [line for line in process.stdout if line.startswith("part ")]
        assert process.wait() == 0
    assert said == ["part stopped\n", "part waits for Faust\n"]
