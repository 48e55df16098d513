"""The scenes, in order. Each shows one thing that Headrace does, and claims it only when it was seen."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

from schemas.catalogue import ProductChange
from schemas.judgements import Canary
from services.cli.demonstration.crowd import Crowd
from services.cli.demonstration.place import Json, Place, until
from services.cli.demonstration.screen import Screen
from services.cli.simulation.catalogue import EXACT, Catalogue, Product, Query
from services.monitor.domain.findings import RECALL, canary_key
from shared.errors import HeadraceError, TransientError
from shared.partitioning import partition_of

SECOND = timedelta(seconds=1)
START_WITHIN = timedelta(minutes=5)
SLOWEST = 10
"""Products a second; what is slower than this, after the start, is given up."""
CHUNK = 250
PRICE_CHANGES = 5


@dataclass(frozen=True)
class Story:
    """What is played, where, and before whom."""

    place: Place
    screen: Screen
    catalogue: Catalogue
    waiting: Callable[[], Mapping[str, str]]
    """The workers that are not ready yet, each with its reason."""

    async def play(self) -> None:
        """Play every scene; one that breaks off is a claim that does not hold, and ends the story."""
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
            self.screen.claim(f"the scene was played to its end: {error}", holds=False)

    async def opened(self) -> bool:
        """Play only how the catalogue comes in; return whether it did."""
        try:
            await self.catalogue_streams_in()
            await until(self._answers, within=START_WITHIN)
        except HeadraceError as error:
            self.screen.claim(f"the scene was played to its end: {error}", holds=False)
        return not self.screen.failures

    async def catalogue_streams_in(self) -> None:
        """Publish the whole catalogue while the workers still start, and watch it become searchable."""
        products = self.catalogue.products
        self.screen.scene(
            "The catalogue streams in",
            f"{len(products):,} products go to catalogue.changes.v1. The embedder merges each change and "
            "makes vectors of its text; the shards index the result, while it streams.",
        )
        loop = asyncio.get_running_loop()
        began = loop.time()
        with self.screen.progress() as bars:
            published = bars.add_task("published ", total=len(products), note="")
            found = bars.add_task("searchable", total=len(products), note="workers start")
            version = await self._publish_all(lambda count: bars.advance(published, count))
            speed = await self._arrival(
                version, show=lambda count, note: bars.update(found, completed=count, note=note)
            )
        took = loop.time() - began
        self.screen.claim(
            f"{len(products):,} products can be found, {took:.1f} s after the first was written "
            f"(start of the workers included; {speed:,.0f} products/s once they ran)",
            holds=True,
        )
        self.screen.figure("products searchable", f"{len(products):,} in {took:.1f} s, {speed:,.0f}/s")

    async def _arrival(self, version: int, *, show: Callable[[int, str], None]) -> float:
        """Watch until every product is found as it was written now; return how many were a second."""
        loop, last, total = (
            asyncio.get_running_loop(),
            self._last_of_each_partition(),
            len(self.catalogue.products),
        )
        end = loop.time() + (START_WITHIN + SECOND * total / SLOWEST) / SECOND
        first: float | None = None
        while loop.time() < end:
            count = await self._searchable()
            if count and first is None:
                first = loop.time()
            speed = count / (loop.time() - first) if first and loop.time() > first + 1 else 0.0
            show(count, f"{speed:,.0f}/s" if speed else ", ".join(self.waiting()) or "embedding")
            if count == total and await self._arrived(last, version):
                return total / max(0.1, loop.time() - (first or end))
            await asyncio.sleep(0.2)
        raise TransientError(f"without its catalogue a shop has no story: {dict(self.waiting())}")

    async def _publish_all(self, progress: Callable[[int], None]) -> int:
        version, now = self.place.version()
        changes = [product.change(version, now) for product in self.catalogue.products]
        for start in range(0, len(changes), CHUNK):
            await self.place.publish(*changes[start : start + CHUNK])
            progress(len(changes[start : start + CHUNK]))
        return version

    def _last_of_each_partition(self) -> list[str]:
        """Return the products that are found when all others are: each partition is worked off in order."""
        partitions = self.place.addresses.settings.partitions
        last = {partition_of(each.id.encode(), partitions): each.id for each in self.catalogue.products}
        return list(last.values())

    async def _arrived(self, last: Sequence[str], version: int) -> bool:
        """Whether the index has these products as they were written now."""
        with suppress(TransientError):
            seen = [await self.place.product(product_id) for product_id in last]
            return all(product is not None and product["upserted"] >= version for product in seen)
        return False

    async def _searchable(self) -> int:
        """Return how many products can be found, at most as many as were written."""
        with suppress(TransientError):
            return min(await self.place.documents(), len(self.catalogue.products))
        return 0

    async def search(self) -> None:
        """Ask three queries, and look whether a right product is among the first ten."""
        self.screen.scene(
            "Search", "POST /search: meaning (vectors) and words (BM25) together, scattered over all shards."
        )
        await until(self._answers, within=START_WITHIN)
        took = []
        for query in self._telling_queries(3):
            answer = await self.place.search(query.text)
            took.append(answer["took_ms"])
            self._show_hits(query, answer)
            right = [hit for hit in answer["hits"] if self._exact(query, hit["product_id"])]
            self.screen.claim(
                f"“{query.text}”: {len(right)} of the first {len(answer['hits'])} are exactly right, "
                f"all shards answered, {answer['took_ms']:.0f} ms",
                holds=bool(right) and not answer["partial"],
            )
        self.screen.figure("search", f"{median(took):.0f} ms a query")

    async def _answers(self) -> bool | None:
        answer = await self.place.search(self.catalogue.queries[0].text)
        return True if answer["hits"] and not answer["partial"] else None

    def _telling_queries(self, count: int) -> list[Query]:
        """Return queries that plain word search would miss: none of their right titles has all the words."""
        titles = {product.id: product.title.lower() for product in self.catalogue.products}
        said = [
            query
            for query in self.catalogue.queries
            if not any(
                all(word in titles[product] for word in query.text.lower().split())
                for product in self._right(query)
            )
        ]
        rich = sorted(said, key=lambda query: -len(self._right(query)))
        return (rich or list(self.catalogue.queries))[:count]

    def _right(self, query: Query) -> list[str]:
        graded = self.catalogue.grades.get(query.id, {})
        return [product for product, grade in graded.items() if grade == EXACT]

    def _exact(self, query: Query, product_id: str) -> bool:
        return self.catalogue.grade(query.id, product_id) == EXACT

    def _show_hits(self, query: Query, answer: Json) -> None:
        rows = [
            (
                hit["rank"],
                "exact" if self._exact(query, hit["product_id"]) else "",
                self.screen.cut(str(hit["fields"].get("title", "")), beside=46),
                hit["fields"].get("price") or "",
                float(hit["score"]),
                f"{_score(hit, 'dense')} / {_score(hit, 'lexical')}",
            )
            for hit in answer["hits"][:5]
        ]
        columns = ("#", "grade", "product", "price", "score", "vector / words")
        self.screen.table(columns, rows, title=f"“{query.text}”")

    async def price_falls(self) -> None:
        """Patch prices, and wait until search answers with the new one; no text goes through the model."""
        self.screen.scene(
            "A price falls",
            "A patch with one field. The text is unchanged, so its vector is kept: no inference.",
        )
        text = self.catalogue.queries[0].text
        hit = (await self.place.search(text))["hits"][0]
        product_id, price = hit["product_id"], float(hit["fields"].get("price") or 100.0)
        before, seconds = await self.place.embedded(), []
        for number in range(1, PRICE_CHANGES + 1):
            wanted = round(price * (1 - number / 20), 2)
            seconds.append(await self._reprice(text, product_id, wanted))
        inferences = await self.place.embedded() - before
        listed = ", ".join(f"{second * 1000:,.0f}" for second in seconds)
        self.screen.say(f"price -> POST /search shows it, {PRICE_CHANGES} times: {listed} ms")
        self.screen.claim(
            f"a new price is found by search {median(seconds) * 1000:,.0f} ms after it was written, "
            f"{max(seconds) * 1000:,.0f} ms at most",
            holds=median(seconds) < 1,
        )
        self.screen.claim(
            f"texts embedded for {PRICE_CHANGES} price changes: {inferences:.0f}", holds=inferences == 0
        )
        self.screen.figure("price change to search", f"{median(seconds) * 1000:,.0f} ms, no inference")

    async def _reprice(self, text: str, product_id: str, wanted: float) -> float:
        version, now = self.place.version()
        fields = {"price": wanted}
        await self.place.publish(
            ProductChange(product_id=product_id, op="patch", version=version, event_time=now, fields=fields)
        )

        async def seen() -> bool | None:
            hits = (await self.place.search(text))["hits"]
            prices = [hit["fields"].get("price") for hit in hits if hit["product_id"] == product_id]
            return True if wanted in prices else None

        await until(seen, within=10 * SECOND)
        return (self.place.clock.now() - now) / SECOND

    async def shoppers(self) -> None:
        """Let shoppers search and click, and watch judgements come out."""
        self.screen.scene(
            "Shoppers come",
            "Simulated shoppers use the live search; clicks, carts and purchases go to search.events.v1, "
            "a tenth of them twice, a fifth out of order, and robots are among them. Judgements come out.",
        )
        crowd = Crowd(self.place, self.screen, self.catalogue)
        await crowd.come()

    async def canary(self) -> None:
        """Delete a product that a canary knows, see the alert fire, bring it back, see it resolve."""
        self.screen.scene(
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
        await self.place.publish(canary)
        self.screen.say(f"canary {canary.canary_id}: “{query.text}” must find {product.title[:60]!r}")
        await self._delete(product, query)
        key = canary_key(RECALL, canary, self.place.addresses.settings.generation)
        fired = await self._await_alert(key, "firing")
        version, now = self.place.version()
        await self.place.publish(product.change(version, now))
        resolved = await self._await_alert(key, "resolved")
        self.screen.figure("canary alert", f"fired after {fired:.1f} s, resolved after {resolved:.1f} s")

    async def _singled_out(self) -> tuple[Query, Product]:
        """Return a query and the right product that search ranks highest for it."""
        products = {product.id: product for product in self.catalogue.products}
        for query in self.catalogue.queries:
            hits = (await self.place.search(query.text))["hits"]
            if hits and self._exact(query, hits[0]["product_id"]):
                return query, products[hits[0]["product_id"]]
        raise TransientError("no query has a right product at its top")

    async def _delete(self, product: Product, query: Query) -> None:
        version, now = self.place.version()
        await self.place.publish(
            ProductChange(product_id=product.id, op="delete", version=version, event_time=now)
        )

        async def gone() -> bool | None:
            hits = (await self.place.search(query.text))["hits"]
            return None if product.id in {hit["product_id"] for hit in hits} else True

        left, _ = await until(gone, within=10 * SECOND)
        took = (self.place.clock.now() - now) / SECOND
        self.screen.claim(
            f"the deleted product left the results {took * 1000:,.0f} ms after its delete was written",
            holds=left is not None and took < 1,
        )
        self.screen.figure("delete to gone", f"{took * 1000:,.0f} ms")

    async def _await_alert(self, key: str, status: str) -> float:
        async def reached() -> bool | None:
            alert = self.place.alert(key)
            return True if alert and (alert.status == status) else None

        with self.screen.console.status(f"waiting for the alert: {status}"):
            seen, took = await until(reached, within=45 * SECOND)
        alert = self.place.alert(key)
        if alert is not None:
            colour = "red" if alert.status != "resolved" else "green"
            self.screen.console.print(
                f"  [{colour}]{alert.status}[/] [bold]{alert.alert_key}[/]: {alert.summary}",
                highlight=False,
            )
        self.screen.claim(
            f"the alert is {status}, {took / SECOND:.1f} s after the change", holds=seen is not None
        )
        return took / SECOND


def _score(hit: Json, part: str) -> str:
    value = hit["scores"].get(part)
    return "-" if value is None else f"{value:.2f}"
