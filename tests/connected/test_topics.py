"""Topics on a real broker become what they should be, and stay so."""

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.errors import TransientError
from shared.infrastructure.process import free_port
from shared.infrastructure.topic_plan import TopicAction
from shared.infrastructure.topics import apply, connect, diff
from shared.kafka.metadata import describe
from shared.settings import Settings

pytestmark = pytest.mark.connected


@pytest.fixture
def settings(kafka: str, topic_prefix: str) -> Settings:
    return Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=3)


async def test_applying_twice_changes_nothing_the_second_time(settings: Settings) -> None:
    assert {change.action for change in await apply(settings)} == {TopicAction.CREATE}
    assert {change.action for change in await apply(settings)} == {TopicAction.UNCHANGED}


async def test_a_changed_setting_is_put_right_and_what_an_operator_added_stays(settings: Settings) -> None:
    await apply(settings)
    topic = settings.topic_prefix + "alerts.v1"
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        changed = {"cleanup.policy": "delete", "segment.ms": "3600000"}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, changed)])
        done = {change.wanted.name: change for change in await apply(settings)}[topic]
        assert done.action is TopicAction.CONFIGURE
        assert done.config["cleanup.policy"] == ("delete", "compact")
        (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        now = {entry[0]: entry[1] for entry in response.resources[0][4]}
        assert (now["cleanup.policy"], now["segment.ms"]) == ("compact", "3600000")
    finally:
        await admin.close()


async def test_what_is_there_keeps_its_partitions_whatever_is_configured(settings: Settings) -> None:
    await apply(settings)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    await producer.start()
    await producer.send_and_wait(settings.topic_prefix + "catalogue.changes.v1", b"{}")
    await producer.stop()
    await apply(settings.model_copy(update={"partitions": 1}))
    more = settings.model_copy(update={"partitions": 5})
    done = {change.wanted.name.removeprefix(settings.topic_prefix): change for change in await apply(more)}
    assert done["catalogue.changes.v1"].why == "keeps its 3 partitions: 5 count only for a new topic"
    assert done["search.events.v1"].action is TopicAction.GROW  # nobody has written it yet
    assert done["index.records.g1"].action is TopicAction.UNCHANGED
    assert {change.action for change in await diff(more)} == {TopicAction.UNCHANGED}
    described = await describe(settings, ["catalogue.changes.v1", "search.events.v1", "index.records.g1"])
    assert sorted(topic.partitions for topic in described.topics.values()) == [3, 3, 5]


async def test_a_topic_that_was_made_anew_has_another_identity_where_the_broker_has_any(
    settings: Settings,
) -> None:
    await apply(settings)
    name = "search.events.v1"
    before = await describe(settings, [name, "no.topic"])
    assert before.topics["no.topic"].partitions == 0
    async with connect(settings) as administration:
        await administration.delete(settings.topic_prefix + name)
    await apply(settings)
    after = await describe(settings, [name])
    assert after.cluster == before.cluster
    if before.topics[name].identity:
        assert after.topics[name].identity != before.topics[name].identity


async def test_without_a_broker_the_error_says_what_to_do() -> None:
    with pytest.raises(TransientError, match="headrace up"):
        await diff(Settings(kafka=f"127.0.0.1:{free_port()}"))
