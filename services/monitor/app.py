"""Wires the monitor: six features, whose watches tick on the one monitor that leads."""

from collections.abc import Sequence
from itertools import chain

from services.monitor.alerts.store import AlertStore
from services.monitor.alerts.wiring import wire as wire_alerts
from services.monitor.answers.wiring import wire as wire_answers
from services.monitor.canaries.wiring import wire as wire_canaries
from services.monitor.dependencies import MonitorDependencies
from services.monitor.drift.wiring import wire as wire_drift
from services.monitor.feature import Feature
from services.monitor.freshness.wiring import wire as wire_freshness
from services.monitor.generations import WatchedGenerations
from services.monitor.negatives.wiring import wire as wire_negatives
from services.monitor.search_probe import SearchProbe
from services.monitor.settings import MonitorSettings, Settings
from shared.clock import SystemClock
from shared.cluster.leader import TTL, Leadership
from shared.cluster.lease import Lease
from shared.generations.rollout_log import RolloutLog
from shared.kafka.publisher import KafkaPublisher
from shared.process.periodic import Every
from shared.process.worker import Worker
from shared.state.redis import Connection, connect

NAME = "monitor"


def build(settings: Settings) -> Worker:
    """Return the monitor, ready to run."""
    worker = Worker(NAME, settings, port=settings.monitor.port)
    redis, publisher, clock = connect(settings), KafkaPublisher(settings), SystemClock()
    rollouts, namespace = RolloutLog(settings), settings.namespace
    dependencies = MonitorDependencies(
        redis=redis,
        publisher=publisher,
        search=_search(settings.monitor),
        generations=WatchedGenerations(
            redis, namespace=namespace, state=lambda: rollouts.generations, clock=clock
        ),
        alerts=AlertStore(redis, publisher, namespace=namespace, clock=clock),
        clock=clock,
    )
    leadership = Leadership(Lease(redis, f"{namespace}:{NAME}", owner=worker.instance, ttl=TTL))
    for component in (Connection(redis), publisher, rollouts, dependencies.search, leadership):
        worker.add(component)
    _add(worker, _features(settings, dependencies), leadership)
    return worker


def _add(worker: Worker, features: Sequence[Feature], leadership: Leadership) -> None:
    """Let the worker run the features: what every monitor runs first, then what the leading one watches."""
    for component in chain.from_iterable(feature.components for feature in features):
        worker.add(component)
    for watch in chain.from_iterable(feature.watches for feature in features):
        worker.add(Every(f"watch {watch.name}", watch.every, leadership.leader_only(watch.tick)))
    for name, command in chain.from_iterable(feature.commands.items() for feature in features):
        worker.command(name, command)
    for path, page in chain.from_iterable(feature.pages.items() for feature in features):
        worker.api.add_api_route(path, page)


def _features(settings: Settings, dependencies: MonitorDependencies) -> list[Feature]:
    """Return the features, each wired with its section."""
    sections, grace = settings.monitor, settings.monitor.alerts.grace
    return [
        wire_alerts(settings, alerts=dependencies.alerts, generations=dependencies.generations),
        wire_canaries(settings, sections.canaries, dependencies, grace=grace),
        wire_freshness(settings, sections.freshness, dependencies, grace=grace),
        wire_answers(settings, sections.answers, dependencies),
        wire_drift(settings, sections.drift, dependencies),
        wire_negatives(settings, sections.negatives, dependencies),
    ]


def _search(section: MonitorSettings) -> SearchProbe:
    return SearchProbe(
        section.search_url,
        token=section.search_token.get_secret_value(),
        timeout=section.search_timeout,
        concurrency=section.concurrency,
    )
