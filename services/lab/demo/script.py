"""The scenes, in order. Each shows one thing that Headrace does, and claims it only when it was seen."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

from rich.text import Text

from schemas.catalogue import ProductChange
from schemas.judgements import Canary
from schemas.search_api import SearchResponse
from services.lab.arrival import ArrivalSpeed, is_written, last_of_each_partition
from services.lab.demo.client import DemoClient, until
from services.lab.demo.console import DemoConsole
from services.lab.demo.shopper_scene import ShopperScene
from services.lab.simulation.catalogue import (
    EXACT,
    GradedCatalogue,
    ShopProduct,
    ShopQuery,
    queries_beyond_words,
)
from services.monitor.canaries.domain.findings import RECALL, canary_key
from shared.errors import HeadraceError, TransientError

SECOND = timedelta(seconds=1)
START_WITHIN = timedelta(minutes=5)
SLOWEST = 10
"""Products a second; what is slower than this, after the start, is given up."""
CHUNK = 250
PRICE_CHANGES = 5


@dataclass(frozen=True)
class DemoScript:
    """The scenes of the demo, played on an installation and shown on a console."""

    client: DemoClient
    console: DemoConsole
    catalogue: GradedCatalogue
    waiting: Callable[[], Mapping[str, str]]
    """The workers that are not ready yet, each with its reason."""

    async def play(self) -> None:
        """Play every scene; one that breaks off is a claim that does not hold, and ends the demo."""
        try:
            for scene in (
                self.catalogue_streams_in,
                self.search,
                self.price_falls,
                self.shoppers,
                self.canary,
            ):
                await scene()
        except HeadraceError as error:
            self.console.claim(f"the scene was played to its end: {error}", holds=False)

    async def play_opening(self) -> bool:
        """Play only how the catalogue comes in; return whether it did."""
        try:
            await self.catalogue_streams_in()
            await until(self._answers, within=START_WITHIN)
        except HeadraceError as error:
            self.console.claim(f"the scene was played to its end: {error}", holds=False)
        return not self.console.failures

    async def catalogue_streams_in(self) -> None:
        """Publish the whole catalogue while the workers still start, and watch it become searchable."""
        products = self.catalogue.products
        self.console.scene(
            "The catalogue streams in",
            f"{len(products):,} products go to catalogue.changes.v1. The embedder merges each change and "
            "makes vectors of its text; the shards index the result, while it streams.",
        )
        loop = asyncio.get_running_loop()
        began = loop.time()
        with self.console.progress() as bars:
            published = bars.add_task("published ", total=len(products), note="")
            searchable = bars.add_task("searchable", total=len(products), note="workers start")
            version = await self._publish_all(lambda count: bars.advance(published, count))
            speed = await self._arrival(
                version, show=lambda count, note: bars.update(searchable, completed=count, note=note)
            )
        duration = loop.time() - began
        self.console.claim(
            f"{len(products):,} products can be found, {duration:.1f} s after the first was written "
            f"(start of the workers included; {speed:,.0f} products/s once they ran)",
            holds=True,
        )
        self.console.figure("products searchable", f"{len(products):,} in {duration:.1f} s, {speed:,.0f}/s")

    async def _arrival(self, version: int, *, show: Callable[[int, str], None]) -> float:
        """Watch until every product is found as it was written now; return how many were a second."""
        loop, total = asyncio.get_running_loop(), len(self.catalogue.products)
        partitions = self.client.addresses.settings.partitions
        last, speed = last_of_each_partition(self.catalogue.products, partitions), ArrivalSpeed()
        end = loop.time() + (START_WITHIN + SECOND * total / SLOWEST) / SECOND
        while loop.time() < end:
            count = await self._searchable()
            rate = speed.at(loop.time(), count)
            show(count, f"{rate:,.0f}/s" if rate else ", ".join(self.waiting()) or "embedding")
            if count == total and await self._arrived(last, version):
                return total / max(0.1, loop.time() - (speed.first or end))
            await asyncio.sleep(0.2)
        raise TransientError(f"without its catalogue there is no demo: {dict(self.waiting())}")

    async def _publish_all(self, progress: Callable[[int], None]) -> int:
        version, now = self.client.version()
        changes = [product.change(version, now) for product in self.catalogue.products]
        for start in range(0, len(changes), CHUNK):
            await self.client.publish(*changes[start : start + CHUNK])
            progress(len(changes[start : start + CHUNK]))
        return version

    async def _arrived(self, last: Sequence[str], version: int) -> bool:
        """Whether the index has these products as they were written now."""
        with suppress(TransientError):
            products = [await self.client.product(product_id) for product_id in last]
            return all(is_written(product, version) for product in products)
        return False

    async def _searchable(self) -> int:
        """Return how many products can be found, at most as many as were written."""
        with suppress(TransientError):
            return min(await self.client.documents(), len(self.catalogue.products))
        return 0

    async def search(self) -> None:
        """Ask three queries, and look whether a right product is among the first ten."""
        self.console.scene(
            "Search", "POST /search: meaning (vectors) and words (BM25) together, scattered over all shards."
        )
        await until(self._answers, within=START_WITHIN)
        durations = []
        for query in queries_beyond_words(self.catalogue, 3):
            answer = await self.client.search(query.text)
            durations.append(answer.took_ms)
            self._show_hits(query, answer)
            exact = [hit for hit in answer.hits if self._is_exact(query, hit.product_id)]
            self.console.claim(
                f"“{query.text}”: {len(exact)} of the first {len(answer.hits)} are exactly right, "
                f"all shards answered, {answer.took_ms:.0f} ms",
                holds=bool(exact) and not answer.partial,
            )
        self.console.figure("search", f"{median(durations):.0f} ms a query")

    async def _answers(self) -> bool | None:
        answer = await self.client.search(self.catalogue.queries[0].text)
        return True if answer.hits and not answer.partial else None

    def _is_exact(self, query: ShopQuery, product_id: str) -> bool:
        return self.catalogue.grade(query.id, product_id) == EXACT

    def _show_hits(self, query: ShopQuery, answer: SearchResponse) -> None:
        rows = [
            (
                hit.rank,
                "exact" if self._is_exact(query, hit.product_id) else "",
                self.console.cut(str(hit.fields.get("title", "")), beside=46),
                hit.fields.get("price") or "",
                hit.score,
                f"{_score(hit.scores.dense)} / {_score(hit.scores.lexical)}",
            )
            for hit in answer.hits[:5]
        ]
        columns = ("#", "grade", "product", "price", "score", "vector / words")
        self.console.table(columns, rows, title=f"“{query.text}”")

    async def price_falls(self) -> None:
        """Patch prices, and wait until search answers with the new one; no text goes through the model."""
        self.console.scene(
            "A price falls",
            "A patch with one field. The text is unchanged, so its vector is kept: no inference.",
        )
        text = self.catalogue.queries[0].text
        hit = (await self.client.search(text)).hits[0]
        product_id, price = hit.product_id, float(hit.fields.get("price") or 100.0)
        before, seconds = await self.client.embedded(), []
        for number in range(1, PRICE_CHANGES + 1):
            new_price = round(price * (1 - number / 20), 2)
            seconds.append(await self._reprice(text, product_id, new_price))
        inferences = await self.client.embedded() - before
        listed = ", ".join(f"{second * 1000:,.0f}" for second in seconds)
        self.console.say(f"price -> POST /search shows it, {PRICE_CHANGES} times: {listed} ms")
        self.console.claim(
            f"a new price is found by search {median(seconds) * 1000:,.0f} ms after it was written, "
            f"{max(seconds) * 1000:,.0f} ms at most",
            holds=median(seconds) < 1,
        )
        self.console.claim(
            f"texts embedded for {PRICE_CHANGES} price changes: {inferences:.0f}", holds=inferences == 0
        )
        self.console.figure("price change to search", f"{median(seconds) * 1000:,.0f} ms, no inference")

    async def _reprice(self, text: str, product_id: str, new_price: float) -> float:
        version, now = self.client.version()
        fields = {"price": new_price}
        await self.client.publish(
            ProductChange(product_id=product_id, op="patch", version=version, event_time=now, fields=fields)
        )

        async def seen() -> bool | None:
            hits = (await self.client.search(text)).hits
            prices = [hit.fields.get("price") for hit in hits if hit.product_id == product_id]
            return True if new_price in prices else None

        await until(seen, within=10 * SECOND)
        return (self.client.clock.now() - now) / SECOND

    async def shoppers(self) -> None:
        """Let shoppers search and click, and watch judgements come out."""
        self.console.scene(
            "Shoppers come",
            "Simulated shoppers use the live search; clicks, carts and purchases go to search.events.v1, "
            "a tenth of them twice, a fifth out of order, and robots are among them. Judgements come out.",
        )
        await ShopperScene(self.client, self.console, self.catalogue).play()

    async def canary(self) -> None:
        """Delete a product that a canary knows, see the alert fire, bring it back, see it resolve."""
        self.console.scene(
            "A product breaks, and the canary sings",
            "A canary is a query whose right product is known. We delete that product, and then restore it.",
        )
        query, product = await self._singled_out()
        canary = Canary(
            canary_id=f"demo-{product.id}",
            query=query.text,
            product_ids=(product.id,),
            k=10,
            minimum_recall=1.0,
        )
        await self.client.publish(canary)
        self.console.say(f"canary {canary.canary_id}: “{query.text}” must find {product.title[:60]!r}")
        await self._delete(product, query)
        key = canary_key(RECALL, canary, self.client.addresses.settings.generation)
        fired = await self._await_alert(key, "firing")
        version, now = self.client.version()
        await self.client.publish(product.change(version, now))
        resolved = await self._await_alert(key, "resolved")
        self.console.figure("canary alert", f"fired after {fired:.1f} s, resolved after {resolved:.1f} s")

    async def _singled_out(self) -> tuple[ShopQuery, ShopProduct]:
        """Return a query and the right product that search ranks highest for it."""
        products = {product.id: product for product in self.catalogue.products}
        for query in self.catalogue.queries:
            hits = (await self.client.search(query.text)).hits
            if hits and self._is_exact(query, hits[0].product_id):
                return query, products[hits[0].product_id]
        raise TransientError("no query has a right product at its top")

    async def _delete(self, product: ShopProduct, query: ShopQuery) -> None:
        version, now = self.client.version()
        await self.client.publish(
            ProductChange(product_id=product.id, op="delete", version=version, event_time=now)
        )

        async def gone() -> bool | None:
            hits = (await self.client.search(query.text)).hits
            return None if product.id in {hit.product_id for hit in hits} else True

        has_left, _ = await until(gone, within=10 * SECOND)
        duration = (self.client.clock.now() - now) / SECOND
        self.console.claim(
            f"the deleted product left the results {duration * 1000:,.0f} ms after its delete was written",
            holds=has_left is not None and duration < 1,
        )
        self.console.figure("delete to gone", f"{duration * 1000:,.0f} ms")

    async def _await_alert(self, key: str, status: str) -> float:
        async def reached() -> bool | None:
            alert = self.client.alert(key)
            return True if alert and (alert.status == status) else None

        with self.console.rich.status(f"waiting for the alert: {status}"):
            in_time, duration = await until(reached, within=45 * SECOND)
        alert = self.client.alert(key)
        if alert is not None:
            colour = "red" if alert.status != "resolved" else "green"
            parts = ("  ", (alert.status, colour), " ", (alert.alert_key, "bold"), f": {alert.summary}")
            self.console.rich.print(Text.assemble(*parts), highlight=False)
        self.console.claim(
            f"the alert is {status}, {duration / SECOND:.1f} s after the change", holds=in_time is not None
        )
        return duration / SECOND


def _score(score: float | None) -> str:
    return "-" if score is None else f"{score:.2f}"
