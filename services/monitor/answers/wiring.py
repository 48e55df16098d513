"""Wires the answers: the counter of logged answers, and the watch over their rates."""

from schemas.search import SearchQuery
from services.monitor.answers.counter import AnswerCounter
from services.monitor.answers.settings import AnswerSettings
from services.monitor.answers.watch import AnswerWatch
from services.monitor.dependencies import MonitorDependencies
from services.monitor.feature import Feature, PeriodicWatch
from shared.settings import Settings
from shared.streaming.loop import PartitionLoop, Subscription

SUBSCRIPTION = Subscription(name="monitor", topics=(SearchQuery.topic,))


def wire(settings: Settings, section: AnswerSettings, dependencies: MonitorDependencies) -> Feature:
    """Return the loop that counts answers, on every monitor, and the watch that compares the counts."""
    clock = dependencies.clock
    counter = AnswerCounter(dependencies.redis, namespace=settings.namespace, rule=section.rule, clock=clock)
    loop = PartitionLoop(
        settings, counter, subscription=SUBSCRIPTION, publisher=dependencies.publisher, clock=clock
    )

    def partitions() -> int:
        return loop.partitions.get(SearchQuery.topic, settings.partitions)

    watch = AnswerWatch(section, counter, dependencies.alerts, partitions=partitions, clock=clock)
    return Feature(
        components=[loop],
        watches=[PeriodicWatch(name="answers", every=section.every, tick=watch.tick)],
    )
