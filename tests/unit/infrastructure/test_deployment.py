"""The deployment files name what the code names."""

import re
from pathlib import Path

import pytest

from shared.infrastructure.containers import KAFKA_IMAGE, VALKEY_IMAGE
from shared.infrastructure.workers import WORKERS

ROOT = Path(__file__).parents[3]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()


def service(name: str) -> str:
    found = re.search(rf"^  {name}:\n((?:    .*\n|\n)+)", COMPOSE, re.MULTILINE)
    assert found, name
    return found[1]


@pytest.mark.parametrize("kind", [spec.kind for spec in WORKERS])
def test_compose_runs_every_worker_with_a_health_check_on_its_port(kind: str) -> None:
    text = service(kind)
    assert f'command: ["worker", "{kind}"]' in text
    port = re.search(r'HTTP_PORT: "(\d+)"', text)
    assert port
    assert f":{port[1]}" in text.partition("ports:")[2]


@pytest.mark.parametrize("image", [KAFKA_IMAGE, VALKEY_IMAGE])
def test_tests_compose_and_example_use_the_same_images(image: str) -> None:
    assert f":-{image}}}" in COMPOSE
    assert f"={image}\n" in EXAMPLE


@pytest.mark.parametrize("name", ["serve", "learn"])
def test_every_container_of_ours_is_confined(name: str) -> None:
    assert re.search(rf"^x-{name}: &{name}\n  <<: \*confined$", COMPOSE, re.MULTILINE)
    assert "\n  init: true\n  read_only: true\n  cap_drop: [ALL]\n" in COMPOSE


def test_every_variable_of_compose_is_in_the_example_with_its_default() -> None:
    example = dict(line.split("=", 1) for line in EXAMPLE.splitlines() if re.match(r"[A-Z]", line))
    for name, default in re.findall(r"\$\{(\w+):?-([^}]*)\}", COMPOSE):
        assert example[name] == default, name


def test_every_port_is_published_on_the_loopback_only() -> None:
    published = re.findall(r'ports: \["([^"]+)"\]', COMPOSE)
    assert len(published) >= 7
    assert all(each.startswith("127.0.0.1:") for each in published)


def test_every_alias_has_its_anchor() -> None:
    assert set(re.findall(r"\*(\w+)", COMPOSE)) <= set(re.findall(r"&(\w+)", COMPOSE))


def test_only_the_trainer_has_torch() -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    assert re.findall(r"select (\S+) >", dockerfile) == ["serve,model", '"${EXTRAS}"']
    assert re.findall(r"^ARG EXTRAS=(.*)$", dockerfile, re.MULTILINE) == [""]
    assert re.findall(r"EXTRAS: (.*)", COMPOSE) == ["learn"]
    assert re.findall(r"<<: (.*\*learn.*)", COMPOSE) == ["[*worker, *learn]"]
    assert "*learn]" in service("trainer")


def test_the_image_runs_as_an_unprivileged_user() -> None:
    last_stage = (ROOT / "deploy" / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001", last_stage, re.MULTILINE)
