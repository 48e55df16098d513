"""Topics on a real broker become what they should be, and stay so."""

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.errors import TransientError
from shared.infrastructure.process import free_port
from shared.infrastructure.topic_plan import Action
from shared.infrastructure.topics import apply, diff
from shared.settings import Settings

pytestmark = pytest.mark.connected


@pytest.fixture
def settings(kafka: str, topic_prefix: str) -> Settings:
    return Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=3)


async def test_applying_twice_changes_nothing_the_second_time(settings: Settings) -> None:
    assert {change.action for change in await apply(settings)} == {Action.CREATE}
    assert {change.action for change in await apply(settings)} == {Action.UNCHANGED}


async def test_a_changed_setting_is_put_right_and_what_an_operator_added_stays(settings: Settings) -> None:
    await apply(settings)
    topic = settings.topic_prefix + "alerts.v1"
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        changed = {"cleanup.policy": "delete", "segment.ms": "3600000"}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, changed)])
        done = {change.wanted.name: change for change in await apply(settings)}[topic]
        assert done.action is Action.CONFIGURE
        assert done.config["cleanup.policy"] == ("delete", "compact")
        (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        now = {entry[0]: entry[1] for entry in response.resources[0][4]}
        assert (now["cleanup.policy"], now["segment.ms"]) == ("compact", "3600000")
    finally:
        await admin.close()


async def test_a_topic_with_messages_gets_no_more_partitions_and_an_empty_one_does(
    settings: Settings,
) -> None:
    await apply(settings)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    await producer.start()
    await producer.send_and_wait(settings.topic_prefix + "catalogue.changes.v1", b"{}")
    await producer.stop()
    more = settings.model_copy(update={"partitions": 5})
    done = {
        change.wanted.name.removeprefix(settings.topic_prefix): change.action for change in await apply(more)
    }
    assert done["catalogue.changes.v1"] is Action.REFUSE
    assert done["search.events.v1"] is Action.GROW
    left = {change.wanted.name for change in await diff(more) if change.action is not Action.UNCHANGED}
    assert left == {settings.topic_prefix + "catalogue.changes.v1"}


async def test_without_a_broker_the_error_says_what_to_do() -> None:
    with pytest.raises(TransientError, match="headrace up"):
        await diff(Settings(kafka=f"127.0.0.1:{free_port()}"))
