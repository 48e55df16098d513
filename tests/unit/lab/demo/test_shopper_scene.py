"""The shoppers' scene: what is counted, and which judgements are shown of it."""

import io
from collections import Counter
from datetime import UTC, datetime

import pytest
from rich.console import Console

from schemas.judgements import ActionStatistics, Judgement
from services.lab.demo import shopper_scene
from services.lab.demo.console import DemoConsole
from services.lab.demo.shopper_scene import ShopperScene, _counted, _normal
from services.lab.simulation import shop
from services.lab.simulation.delivery import DeliveryReport
from services.lab.simulation.shoppers import ClickModel
from services.lab.simulation.traffic import Ranker, Simulation, Traffic, stream
from services.lab.simulation.truth import IMPRESSION
from shared.catalogue.query_text import normalise

NOW = datetime(2026, 11, 20, tzinfo=UTC)
SALE = shop.sample(size=200, queries=6)


@pytest.fixture
def simulation() -> Simulation:
    simulation = Simulation(SALE, ClickModel(), Traffic(sessions=80, until=NOW, robots=0.05))
    for _ in stream(simulation, Ranker.blurred(SALE, seed=1)):
        pass
    return simulation


def judgements(simulation: Simulation) -> dict[tuple[str, str], Judgement]:
    """Return what a judgements worker would publish of it, if it counts exactly."""
    return {
        pair: Judgement(
            query=pair[0],
            product_id=pair[1],
            window_start=NOW.date(),
            window_end=NOW.date(),
            impressions=tally[IMPRESSION],
            shoppers=1,
            actions={n: ActionStatistics(count=c) for n, c in tally.items() if n != IMPRESSION},
            value=1.0,
            grade=min(3.0, tally["click"] / 4),
            updated_at=NOW,
        )
        for pair, tally in _normal(simulation).items()
    }


class Client:
    """An installation whose judgements are given."""

    def __init__(self, published: dict[tuple[str, str], Judgement]) -> None:
        self.published = published

    def judgements(self) -> dict[tuple[str, str], Judgement]:
        return self.published


def scene(published: dict[tuple[str, str], Judgement]) -> tuple[ShopperScene, DemoConsole]:
    console = DemoConsole(Console(file=io.StringIO(), width=140, no_color=True))
    return ShopperScene(Client(published), console, SALE), console  # type: ignore[arg-type]  it answers as one


def text(console: DemoConsole) -> str:
    return console.rich.file.getvalue()  # type: ignore[attr-defined]  it is a StringIO


def test_what_shoppers_did_is_counted_by_the_normalised_query(simulation) -> None:
    happened = _normal(simulation)
    assert all(query == normalise(query) for query, _ in happened)
    total = sum(happened.values(), Counter())
    assert total == simulation.truth.totals()
    assert _counted(judgements(simulation)) == happened


async def test_judgements_that_count_exactly_have_settled(simulation, monkeypatch) -> None:
    published = judgements(simulation)
    played, _ = scene(published)
    assert await played._settled(simulation, {})
    pair = next(iter(published))
    published[pair] = published[pair].model_copy(update={"impressions": 99})
    assert await played._settled(simulation, {}) is None


async def test_what_was_judged_before_the_demo_does_not_count(simulation) -> None:
    published = judgements(simulation)
    before = {("old", "P"): Counter({IMPRESSION: 7})}
    old = next(iter(published.values())).model_copy(update={"impressions": 7, "actions": {}})
    played, _ = scene({**published, ("old", "P"): old})
    assert await played._settled(simulation, before)
    assert await played._settled(simulation, {}) is None


def test_the_query_that_was_asked_most_is_shown_best_judged_first(simulation) -> None:
    published = judgements(simulation)
    played, console = scene(published)
    console.rich.print(played._view(simulation))
    lines = text(console).splitlines()
    asked = Counter({q: 0 for q, _ in published})
    for (query, _), each in published.items():
        asked[query] += each.impressions
    assert asked.most_common(1)[0][0] in lines[0]
    assert f"judgements: {len(published)}" in lines[0]
    assert len(lines) <= 2 + 8
    judged = [float(line.split()[-2]) for line in lines[2:]]
    assert judged == sorted(judged, reverse=True)


def test_before_anything_is_judged_the_table_is_empty(simulation) -> None:
    played, console = scene({})
    console.rich.print(played._view(simulation))
    assert "judgements: 0; those of “…”" in text(console)


@pytest.mark.parametrize(
    ("refused", "exact", "failures"), [(0, True, 0), (60, True, 1), (0, False, 1), (60, False, 2)]
)
def test_what_is_claimed_is_that_few_were_refused_and_all_was_counted(
    simulation, refused, exact, failures
) -> None:
    played, console = scene(judgements(simulation))
    report = DeliveryReport(messages=400, searches=250, refused=refused)
    played._conclude(simulation, report, duration=10.0, exact=exact)
    assert len(console.failures) == failures
    assert "(25 searches/s" in text(console)
    assert dict(console.figures)["shoppers"] == "250 searches, 400 events"


def test_the_scene_is_short_on_a_slow_machine_too() -> None:
    assert shopper_scene.timedelta(seconds=30) >= shopper_scene.AT_MOST
