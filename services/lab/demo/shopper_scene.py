"""The shoppers' scene: live searches, events, and the judgements that come out, against the truth."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from rich.live import Live
from rich.table import Table

from schemas.judgements import Judgement
from services.lab.demo.client import DemoClient, until
from services.lab.demo.console import DemoConsole, table
from services.lab.simulation import delivery
from services.lab.simulation.catalogue import GradedCatalogue
from services.lab.simulation.delivery import DeliveryReport, ShopFrontEnd
from services.lab.simulation.shoppers import ClickModel
from services.lab.simulation.traffic import Simulation, Traffic
from services.lab.simulation.truth import IMPRESSION, Pair
from shared.catalogue.query_text import normalise

SECOND = timedelta(seconds=1)
SESSIONS = 250
QUERIES = 12
"""The shoppers ask few queries often, so that there is something to judge within seconds."""
HASTE = 100.0
AT_MOST = timedelta(seconds=30)
"""On a slow machine fewer shoppers come, so that the scene stays short."""

Counts = dict[Pair, Counter[str]]


@dataclass(frozen=True)
class ShopperScene:
    """Shoppers with a known click model on the live search."""

    client: DemoClient
    console: DemoConsole
    catalogue: GradedCatalogue

    async def play(self) -> None:
        """Let them shop, show the judgements filling, and hold the counts against what was done."""
        few = replace(self.catalogue, queries=self.catalogue.queries[:QUERIES])
        traffic = Traffic(
            sessions=SESSIONS, until=self.client.clock.now(), haste=HASTE, robots=0.01, robot_queries=20
        )
        simulation = Simulation(few, ClickModel(), traffic)
        before = _counted(self.client.judgements())
        began = asyncio.get_running_loop().time()
        task = asyncio.create_task(self._shop(simulation))
        with Live(console=self.console.rich, refresh_per_second=4) as live:
            while not task.done():
                await asyncio.wait([task], timeout=0.5)
                live.update(self._view(simulation))
            report = await task
            duration = asyncio.get_running_loop().time() - began
            settled, _ = await until(lambda: self._settled(simulation, before), within=30 * SECOND)
            live.update(self._view(simulation))
        self.console.rich.print()
        self._conclude(simulation, report, duration=duration, exact=settled is not None)

    async def _shop(self, simulation: Simulation) -> DeliveryReport:
        search = ShopFrontEnd(self.client.search_api, self.client.clock)
        return await delivery.live(
            simulation,
            search,
            self.client.publisher,
            clock=self.client.clock,
            rate=None,
            progress=lambda _: None,
            at_most=AT_MOST,
        )

    async def _settled(self, simulation: Simulation, before: Counts) -> bool | None:
        """Whether the judgements' counts have grown by exactly what the shoppers did."""
        await asyncio.sleep(0.2)
        now, happened = _counted(self.client.judgements()), _normal(simulation)
        grown = {pair: counts - before.get(pair, Counter()) for pair, counts in now.items()}
        return True if {pair: counts for pair, counts in grown.items() if counts} == happened else None

    def _view(self, simulation: Simulation) -> Table:
        """Return the judgements of the query that was asked most."""
        judgements = self.client.judgements()
        impressions: Counter[str] = Counter()
        for (query, _), judgement in judgements.items():
            impressions[query] += judgement.impressions
        query = impressions.most_common(1)[0][0] if impressions else "…"
        of_query = sorted(
            (judgement for (text, _), judgement in judgements.items() if text == query),
            key=lambda judgement: judgement.grade,
            reverse=True,
        )
        grades = {normalise(query.text): query.id for query in simulation.catalogue.queries}
        rows = [self._row(judgement, grades.get(query, "")) for judgement in of_query[:8]]
        columns = ("product", "shown", "clicks", "carts", "bought", "click rate", "judged", "true grade")
        return table(
            columns, rows, title=f"judgements: {len(judgements):,}; those of “{query}”, best judged first"
        )

    def _row(self, judgement: Judgement, query_id: str) -> tuple[object, ...]:
        def count(action: str) -> int:
            return judgement.actions[action].count if action in judgement.actions else 0

        titles = {product.id: product.title for product in self.catalogue.products}
        click = judgement.actions.get("click")
        return (
            self.console.cut(titles.get(judgement.product_id, judgement.product_id), beside=60),
            judgement.impressions,
            count("click"),
            count("add_to_cart"),
            count("purchase"),
            click.rate if click else 1.0,
            judgement.grade,
            self.catalogue.grade(query_id, judgement.product_id),
        )

    def _conclude(
        self, simulation: Simulation, report: DeliveryReport, *, duration: float, exact: bool
    ) -> None:
        totals = simulation.truth.totals()
        actions = sum(totals.values()) - totals[IMPRESSION]
        self.console.claim(
            f"{report.searches:,} live searches and {report.messages:,} event messages in {duration:.1f} s "
            f"({report.searches / duration:,.0f} searches/s, {report.refused} given up)",
            holds=report.searches > 50 * report.refused,
        )
        self.console.claim(
            f"the judgements count exactly what shoppers did: {totals[IMPRESSION]:,} impressions, "
            f"{actions:,} actions; duplicates and robots left out",
            holds=exact,
        )
        self.console.figure("shoppers", f"{report.searches:,} searches, {report.messages:,} events")
        self.console.figure("judgements", f"{len(self.client.judgements()):,}, counts exact")


def _counted(judgements: Mapping[Pair, Judgement]) -> Counts:
    return {
        pair: Counter(
            {
                IMPRESSION: judgement.impressions,
                **{name: action.count for name, action in judgement.actions.items()},
            }
        )
        for pair, judgement in judgements.items()
    }


def _normal(simulation: Simulation) -> Counts:
    happened: Counts = {}
    for (query, product_id), tally in simulation.truth.shoppers.items():
        happened.setdefault((normalise(query), product_id), Counter()).update(tally)
    return happened
