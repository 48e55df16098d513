"""What the pages say to type where there is Docker: README's lines and the databases' walk (`make compose`).

Images, ports and pip's options are those of the environment, as in `.env.example`. What was kept is removed
afterwards.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.infrastructure.process import free_port
from tests.architecture.pages import ROOT, typed
from tests.connected.killing import until
from tests.connected.newcomer import Newcomer

PLUGIN = ["docker", "compose"]
APART = """if [ "$1" = compose ]; then
    shift
    if [ "$1" = exec ]; then
        shift
        exec docker-compose exec -T "$@"  # it does not see that there is no terminal
    fi
    exec docker-compose "$@"
fi
exec {docker} "$@"
"""
IMAGES = {"postgresql": ["POSTGRES_IMAGE", "CONNECT_IMAGE"], "mariadb": ["MARIADB_IMAGE", "CONNECT_IMAGE"]}
SERVERS = ("KAFKA", "VALKEY", "SEARCH", "SHARDS", "EMBEDDER", "JUDGEMENTS", "MONITOR", "NEGATIVES")
PORTS = (*SERVERS, "TRAINER", "ROLLOUT", "COLLECTOR")


def answers(*command: str) -> bool:
    if not shutil.which(command[0]):
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.compose,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not answers("docker", "info"), reason="no Docker daemon answers"),
]


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Newcomer]:
    """Return a shell in this tree, whose installation is one of its own."""
    project = {"COMPOSE_PROJECT_NAME": f"headrace-{os.getpid()}"}
    settings = {"HEADRACE_CATALOGUE__SOURCES": '{"prices":"part"}'}
    ports = {f"{name}_PORT": str(free_port()) for name in PORTS}
    newcomer = Newcomer(tmp_path / "data", tmp_path, at=ROOT, settings=project | settings | ports)
    if not answers(*PLUGIN, "version"):  # an older Docker has it as a program of its own
        newcomer.has("docker", APART.format(docker=shutil.which("docker")))
    yield newcomer
    everything = " ".join(f"--profile {name}" for name in ("simulate", *IMAGES))
    newcomer.types(f"docker compose {everything} down --volumes --remove-orphans")


def test_readmes_lines_play_the_story_and_keep_what_there_is(newcomer: Newcomer) -> None:
    *_, docker = typed(ROOT / "README.md", "Five minutes")
    assert "every scene showed what it says (0 did not)" in newcomer.types(docker)
    newcomer.types("docker compose up --detach")
    until(lambda: "no difference" in newcomer.types("docker compose run --rm headrace verify index || true"))


@pytest.mark.parametrize("database", IMAGES)
def test_a_database_becomes_a_catalogue(newcomer: Newcomer, database: str) -> None:
    for variable in IMAGES[database]:
        if not answers("docker", "image", "inspect", os.environ.get(variable, "")):
            pytest.skip(f"{variable} names no image that is here")
    walk = typed(ROOT / "docs" / "databases.md", "Ten minutes with Docker")
    postgresql, search, changes, mariadb, other_changes = walk
    up, written = (postgresql, changes) if database == "postgresql" else (mariadb, other_changes)
    newcomer.types(up)
    until(finds(newcomer, search.strip(), "BOOT-1"))
    *statements, last = written.strip().splitlines()
    newcomer.types("\n".join(statements))
    until(finds(newcomer, last, "BOOT-1", "BOOT-3"))
    gone = 'docker compose run --rm headrace search "tent" --json || true'
    until(lambda: "TENT-1" not in newcomer.types(gone))


def finds(newcomer: Newcomer, command: str, *products: str) -> Callable[[], bool]:
    """Return a condition: the search has hits, and these are among them."""

    def holds() -> bool:
        answer = newcomer.types(f"{command} --json || true")
        hits = json.loads(answer)["hits"] if answer.startswith("{") else []
        return {hit["product_id"] for hit in hits} >= {*products}

    return holds
