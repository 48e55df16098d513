"""Wires the rollout worker: the log it follows, the models, and the controller under a lease."""

from schemas.alerts import Alert
from services.rollout.controller import RolloutController, RolloutDependencies
from services.rollout.evidence import EvidenceCollector
from services.rollout.models import CandidateModels
from services.rollout.settings import Settings
from services.rollout.topics import GenerationTopics
from services.rollout.trials.automatic import EVERY, AutomaticTrials
from services.rollout.trials.promotion_requests import PromotionRequests, requests_on
from services.rollout.trials.scorer import SessionScorer
from services.rollout.unserved import EVERY as LOOK_FOR_UNSERVED
from services.rollout.unserved import UnservedGenerations, raised_on
from shared.clock import SystemClock
from shared.cluster.leader import TTL, Leadership
from shared.cluster.lease import Lease
from shared.generations.rollout_log import RolloutLog
from shared.generations.status import GenerationStatusBoard
from shared.kafka.compacted import CompactedTopic
from shared.kafka.offsets import BrokerLog
from shared.kafka.publisher import KafkaPublisher
from shared.process.periodic import Every
from shared.process.worker import Worker
from shared.state.redis import Connection, connect
from shared.streaming.heartbeat import FollowedTopics, ReaderHeartbeat

NAME = "rollout"


def build(settings: Settings) -> Worker:
    """Return the rollout worker, ready to run."""
    worker = Worker(NAME, settings, port=settings.rollout.port)
    redis, publisher, edges = connect(settings), KafkaPublisher(settings), BrokerLog(settings)
    rollouts, clock, models = RolloutLog(settings), SystemClock(), CandidateModels(settings)
    alerts = CompactedTopic(settings, Alert.topic)
    lease = Lease(redis, f"{settings.namespace}:{NAME}", owner=worker.instance, ttl=TTL)
    leadership = Leadership(lease)
    scorer = SessionScorer(settings, rollouts, redis=redis, publisher=publisher, clock=clock)
    dependencies = RolloutDependencies(
        rollouts=rollouts,
        evidence=EvidenceCollector(redis, settings),
        models=models,
        topics=GenerationTopics(settings),
        edges=edges,
        standings=scorer,
        promotion_requests=PromotionRequests(rollouts, requests_on(alerts), publisher=publisher, clock=clock),
        publisher=publisher,
        clock=clock,
    )
    controller = RolloutController(settings, dependencies)
    ticks = Every("rollout", settings.rollout.look_every, leadership.leader_only(controller.tick))
    scoring = Every("trials", settings.rollout.look_every, leadership.leader_only(scorer.tick))
    heartbeat = ReaderHeartbeat(settings, FollowedTopics(NAME, rollouts), redis=redis, clock=clock)
    followed = (publisher, edges, rollouts, alerts)
    for component in (Connection(redis), *followed, leadership, scorer, scoring, ticks, heartbeat):
        worker.add(component)
    statuses = GenerationStatusBoard(redis, settings, worker=NAME, clock=clock)
    unserved = UnservedGenerations(rollouts, statuses, raised_on(alerts), publisher=publisher, clock=clock)
    worker.add(Every("unserved generations", LOOK_FOR_UNSERVED, leadership.leader_only(unserved.tick)))
    if settings.rollout.trials.automatic:
        automatic = _automatic(settings, dependencies)
        worker.add(Every("automatic trials", EVERY, leadership.leader_only(automatic.tick)))
    return worker


def _automatic(settings: Settings, dependencies: RolloutDependencies) -> AutomaticTrials:
    return AutomaticTrials(
        rollouts=dependencies.rollouts,
        models=dependencies.models,
        terms=settings.rollout.trials.terms(),
        edges=dependencies.edges,
        publisher=dependencies.publisher,
        clock=dependencies.clock,
    )
