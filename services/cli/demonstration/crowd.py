"""The shoppers' scene: live searches, events, and the judgements that come out, against the truth."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from rich.live import Live
from rich.table import Table

from schemas.judgements import Judgement
from services.cli.demonstration.place import Place, until
from services.cli.demonstration.screen import Screen, table
from services.cli.simulation import delivery
from services.cli.simulation.catalogue import Catalogue
from services.cli.simulation.delivery import SearchApi, Written
from services.cli.simulation.shoppers import ClickModel
from services.cli.simulation.traffic import Simulation, Traffic
from services.cli.simulation.truth import IMPRESSION, Pair
from services.judgements.domain.query import normalise

SECOND = timedelta(seconds=1)
SESSIONS = 250
QUERIES = 12
"""The crowd asks few queries often, so that there is something to judge within seconds."""
HASTE = 100.0
AT_MOST = timedelta(seconds=30)
"""On a slow machine fewer shoppers come, so that the story stays short."""

Counts = dict[Pair, Counter[str]]


@dataclass(frozen=True)
class Crowd:
    """Shoppers with a known click model on the live search."""

    place: Place
    screen: Screen
    catalogue: Catalogue

    async def come(self) -> None:
        """Let them shop, show the judgements filling, and hold the counts against what was done."""
        few = replace(self.catalogue, queries=self.catalogue.queries[:QUERIES])
        traffic = Traffic(
            sessions=SESSIONS, until=self.place.clock.now(), haste=HASTE, robots=0.01, robot_queries=20
        )
        simulation = Simulation(few, ClickModel(), traffic)
        before = _counted(self.place.judgements())
        began = asyncio.get_running_loop().time()
        shopping = asyncio.create_task(self._shop(simulation))
        with Live(console=self.screen.console, refresh_per_second=4) as live:
            while not shopping.done():
                await asyncio.wait([shopping], timeout=0.5)
                live.update(self._view(simulation))
            written = await shopping
            took = asyncio.get_running_loop().time() - began
            settled, _ = await until(lambda: self._settled(simulation, before), within=30 * SECOND)
            live.update(self._view(simulation))
        self.screen.console.print()
        self._conclude(simulation, written, took=took, exact=settled is not None)

    async def _shop(self, simulation: Simulation) -> Written:
        search = SearchApi(self.place.http, self.place.clock)
        return await delivery.live(
            simulation,
            search,
            self.place.publisher,
            clock=self.place.clock,
            rate=None,
            progress=lambda _: None,
            at_most=AT_MOST,
        )

    async def _settled(self, simulation: Simulation, before: Counts) -> bool | None:
        """Whether the judgements' counts have grown by exactly what the shoppers did."""
        await asyncio.sleep(0.2)
        now, happened = _counted(self.place.judgements()), _normal(simulation)
        grown = {pair: counts - before.get(pair, Counter()) for pair, counts in now.items()}
        return True if {pair: counts for pair, counts in grown.items() if counts} == happened else None

    def _view(self, simulation: Simulation) -> Table:
        """Return the judgements of the query that was asked most."""
        judged = self.place.judgements()
        asked: Counter[str] = Counter()
        for (query, _), judgement in judged.items():
            asked[query] += judgement.impressions
        query = asked.most_common(1)[0][0] if asked else "…"
        mine = sorted(
            (it for (text, _), it in judged.items() if text == query), key=lambda it: it.grade, reverse=True
        )
        grades = {normalise(query.text): query.id for query in simulation.catalogue.queries}
        rows = [self._row(it, grades.get(query, "")) for it in mine[:8]]
        columns = ("product", "shown", "clicks", "carts", "bought", "click rate", "judged", "true grade")
        return table(
            columns, rows, title=f"judgements: {len(judged):,}; those of “{query}”, best judged first"
        )

    def _row(self, it: Judgement, query_id: str) -> tuple[object, ...]:
        def count(action: str) -> int:
            return it.actions[action].count if action in it.actions else 0

        titles = {product.id: product.title for product in self.catalogue.products}
        click = it.actions.get("click")
        return (
            self.screen.cut(titles.get(it.product_id, it.product_id), beside=60),
            it.impressions,
            count("click"),
            count("add_to_cart"),
            count("purchase"),
            click.rate if click else 1.0,
            it.grade,
            self.catalogue.grade(query_id, it.product_id),
        )

    def _conclude(self, simulation: Simulation, written: Written, *, took: float, exact: bool) -> None:
        totals = simulation.truth.totals()
        actions = sum(totals.values()) - totals[IMPRESSION]
        self.screen.claim(
            f"{written.searches:,} live searches and {written.messages:,} event messages in {took:.1f} s "
            f"({written.searches / took:,.0f} searches/s, {written.refused} given up)",
            holds=written.searches > 50 * written.refused,
        )
        self.screen.claim(
            f"the judgements count exactly what shoppers did: {totals[IMPRESSION]:,} impressions, "
            f"{actions:,} actions; duplicates and robots left out",
            holds=exact,
        )
        self.screen.figure("shoppers", f"{written.searches:,} searches, {written.messages:,} events")
        self.screen.figure("judgements", f"{len(self.place.judgements()):,}, counts exact")


def _counted(judgements: Mapping[Pair, Judgement]) -> Counts:
    return {
        pair: Counter(
            {IMPRESSION: it.impressions, **{name: action.count for name, action in it.actions.items()}}
        )
        for pair, it in judgements.items()
    }


def _normal(simulation: Simulation) -> Counts:
    happened: Counts = {}
    for (query, product_id), tally in simulation.truth.shoppers.items():
        happened.setdefault((normalise(query), product_id), Counter()).update(tally)
    return happened
