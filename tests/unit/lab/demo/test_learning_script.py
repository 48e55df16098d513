"""The learning demo's pieces: what is measured, how sure a difference is, and what of it is claimed."""

import io
from typing import Literal

import pytest
from rich.console import Console

from schemas.control import Model, Rollout
from schemas.judgements import Negative
from services.lab.demo import learning_script, ranked
from services.lab.demo.console import DemoConsole
from services.lab.demo.learning_script import ASKED, CANDIDATE, NOVEL, LearningScript, _interval
from services.lab.demo.negatives_scene import NegativesScene
from services.lab.demo.ranked import RankedAnswers, ask_all
from services.lab.simulation import shop
from services.trainer.evaluation.domain.statistics import PairedDifference
from shared.clock import SystemClock
from shared.errors import TransientError
from tests.unit.lab.demo.shop_in_memory import ShopInMemory

SALE = shop.sample(size=200, queries=12)
NOW = SystemClock().now()


def stocked(*, broken: str = "") -> ShopInMemory:
    client = ShopInMemory(SALE, broken=broken)
    for product in SALE.products:
        client._change(product.change(1, NOW))
    return client


def script(client: ShopInMemory | None = None) -> tuple[LearningScript, DemoConsole]:
    console = DemoConsole(Console(file=io.StringIO(), width=120, no_color=True))
    shop = client or stocked()
    return LearningScript(shop, console, SALE, sessions=100, trial_sessions=400), console  # type: ignore[arg-type]  it answers as one


def text(console: DemoConsole) -> str:
    return console.rich.file.getvalue()  # type: ignore[attr-defined]  it is a StringIO


async def test_every_query_is_asked_and_held_against_the_grades() -> None:
    done = []
    answers = await ask_all(stocked(), SALE, lambda: done.append(1))  # type: ignore[arg-type]
    assert answers.values.keys() == {query.id for query in SALE.queries}
    assert len(done) == len(SALE.queries)
    assert answers.mean == pytest.approx(1), "this shop ranks by the grades"


async def test_a_worse_search_measures_worse() -> None:
    best = await ask_all(stocked(), SALE, lambda: None)  # type: ignore[arg-type]
    worse = await ask_all(stocked(broken="relevance"), SALE, lambda: None)  # type: ignore[arg-type]
    difference = worse.against(best)
    assert difference.low > 0
    assert difference.count == len(SALE.queries)
    assert best.against(best).mean == 0


async def test_a_search_that_never_answers_in_full_is_an_error(monkeypatch) -> None:
    monkeypatch.setattr(ranked, "PATIENCE", ranked.timedelta(milliseconds=30))
    with pytest.raises(TransientError, match="no complete answer to"):
        await ask_all(stocked(broken="search"), SALE, lambda: None)  # type: ignore[arg-type]


def test_a_third_of_the_queries_is_asked_by_nobody_and_always_the_same() -> None:
    first, second = script()[0].groups, script()[0].groups
    assert first == second
    assert set(first) == {ASKED, NOVEL}
    asked, novel = ({query.id for query in first[name].queries} for name in (ASKED, NOVEL))
    assert asked.isdisjoint(novel)
    assert asked | novel == {query.id for query in SALE.queries}
    assert len(novel) == round(len(SALE.queries) / 3)


async def test_search_is_measured_before_for_both_groups() -> None:
    played, console = script()
    await played.search_before()
    assert f"{ASKED}: nDCG@10 1.000 (8 queries)" in text(console)
    assert f"{NOVEL}: nDCG@10 1.000 (4 queries)" in text(console)


async def test_a_search_that_got_better_is_claimed_with_its_interval() -> None:
    client = stocked(broken="relevance")
    played, console = script(client)
    await played.search_before()
    client.broken = ""
    await played.search_after()
    assert console.failures == []
    assert "search is better for what shoppers asked: +" in text(console)


async def test_a_search_that_did_not_get_better_fails_the_demo() -> None:
    played, console = script()
    await played.search_before()
    await played.search_after()
    assert len(console.failures) == 2
    assert console.failures[0].startswith("search is better for what shoppers asked: +0.000")


def model(verdict: Literal["admitted", "refused", "undecided"]) -> Model:
    return Model(
        model_id="m-1",
        fingerprint="0" * 16,
        location="/m",
        dimensions=8,
        verdict=verdict,
        created_at=NOW,
    )


@pytest.mark.parametrize(
    ("verdict", "preferred", "played_scenes"),
    [
        ("refused", False, []),
        ("undecided", False, ["build", "trial"]),
        ("undecided", True, ["build", "trial", "search_after", "roll_back"]),
        ("admitted", False, ["build", "_switch", "search_after", "roll_back"]),
    ],
)
async def test_what_follows_depends_on_the_verdict_and_on_shoppers(
    monkeypatch, verdict, preferred, played_scenes
) -> None:
    played, console = script()
    scenes: list[str] = []

    def scene(name: str, answer: object = None):
        async def play(*_: object) -> object:
            scenes.append(name)
            return answer

        monkeypatch.setattr(played, name, play)

    for name in ("search_before", "shoppers", "negatives", "build", "_switch", "search_after", "roll_back"):
        scene(name)
    scene("training", model(verdict))
    scene("trial", preferred)
    await played._scenes()
    assert scenes[4:] == played_scenes
    assert console.failures == [], "a shop where nothing helps ends honestly"
    assert ("search is as it was" in text(console)) is ("search_after" not in played_scenes)


@pytest.mark.parametrize(("status", "holds"), [("done", True), ("refused", False)])
async def test_a_switch_is_claimed_when_search_answers_from_the_other_generation(
    monkeypatch, status, holds
) -> None:
    async def ask(settings, request, on_progress):
        return request.model_copy(update={"status": status})

    monkeypatch.setattr(learning_script.rollout_requests, "ask", ask)
    played, console = script()
    await played._switch("promote", "g1")
    assert (console.failures == []) is holds
    assert f"promote: {status} after" in text(console)


async def test_a_request_that_nobody_answers_is_given_up(monkeypatch) -> None:
    async def ask(settings, request, on_progress) -> Rollout:
        await learning_script.asyncio.Event().wait()
        return request

    monkeypatch.setattr(learning_script.rollout_requests, "ask", ask)
    played, _ = script()
    with pytest.raises(TransientError, match=f"promote of {CANDIDATE} was not answered within"):
        await played._request("promote", within=learning_script.timedelta(milliseconds=20))


def negative(query: str, product_id: str, rank: int) -> Negative:
    return Negative(
        query=query,
        product_id=product_id,
        difficulty="hard",
        score=0.5,
        positive_score=0.8,
        rank=rank,
        generation="g1",
        fingerprint="0" * 16,
        mined_at=NOW,
    )


def test_the_negatives_of_the_query_that_has_most_are_shown_in_their_order() -> None:
    played, console = script()
    scene = NegativesScene(played.client, console, SALE)
    names = [product.id for product in SALE.products[:4]]
    scene.show(
        [negative("few", names[0], 1), negative("many", names[1], 9), negative("many", names[2], 2)],
        taught_by=0,
    )
    shown = text(console)
    assert "not for “many”" in shown
    assert shown.index(SALE.products[2].title[:30]) < shown.index(SALE.products[1].title[:30])
    assert console.failures == []
    scene.show([], taught_by=0)
    assert console.failures == ["0 negatives"]


def test_how_many_negatives_are_right_is_said_of_those_that_people_graded() -> None:
    played, console = script()
    query = SALE.queries[0]
    graded = SALE.grades[query.id]
    exact = next(product for product, grade in graded.items() if grade == 3)
    wrong = next(product for product, grade in graded.items() if grade < 3)
    nobody = next(product.id for product in SALE.products if product.id not in graded)
    rows = [
        negative(query.text.lower(), product, rank) for rank, product in enumerate((exact, wrong, nobody), 1)
    ]
    NegativesScene(played.client, console, SALE).show(rows, taught_by=0)
    assert "People graded 2 of them, and found 50% exactly right" in " ".join(text(console).split())


@pytest.mark.parametrize(
    ("taught_by", "teacher"), [(0, "simulated logs taught"), (34, "34 queries of this shop")]
)
def test_queries_with_enough_negatives_their_difficulties_and_who_taught_the_judge_are_said(
    taught_by, teacher
) -> None:
    played, console = script()
    rows = [negative("many", product.id, rank) for rank, product in enumerate(SALE.products[:5], 1)]
    rows += [negative("few", SALE.products[0].id, 1).model_copy(update={"difficulty": "easy"})]
    NegativesScene(played.client, console, SALE).show(rows, taught_by=taught_by)
    shown = " ".join(text(console).split())
    assert "1 of 2 queries have 5 or more. By difficulty: 5 hard, 1 easy." in shown
    assert teacher in shown
    assert console.figures == [("hard negatives", "6; 0% exact of those graded")]


def test_an_interval_reads_as_a_difference_with_its_bounds() -> None:
    difference = PairedDifference(live=0.6, candidate=0.623, low=0.012, high=0.034, count=100)
    assert _interval(difference) == "+0.023 [+0.012, +0.034]"


def test_a_mean_is_over_queries_each_once() -> None:
    answers = RankedAnswers({"q1": 0.5, "q2": 1.0}, {})
    assert answers.mean == 0.75
