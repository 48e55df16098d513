"""An installation in memory for the demo's scripts: it does at once what the workers do soon."""

from datetime import datetime
from types import SimpleNamespace
from typing import Any

from schemas.alerts import Alert
from schemas.base import Message
from schemas.catalogue import ProductChange
from schemas.judgements import Canary
from schemas.search_api import ProductResponse, SearchResponse
from services.lab.simulation.catalogue import GradedCatalogue
from services.monitor.canaries.domain.findings import RECALL, canary_key
from shared.clock import SystemClock
from shared.errors import TransientError
from shared.settings import Settings
from tests.unit.lab.answers import product_answer, revisions, search_answer


class ShopInMemory:
    """Answers as `DemoClient` does; `broken` names what does not work."""

    def __init__(self, catalogue: GradedCatalogue, *, broken: str = "") -> None:
        self.catalogue, self.broken = catalogue, broken
        self.clock = SystemClock()
        self.addresses = SimpleNamespace(settings=Settings(), urls={})
        self.products: dict[str, dict[str, Any]] = {}
        self.texts = 0
        self.canaries: list[Canary] = []
        self.fired: set[str] = set()

    def version(self) -> tuple[int, datetime]:
        now = self.clock.now()
        return int(now.timestamp() * 1000), now

    async def publish(self, *messages: Message) -> None:
        if self.broken == "broker":
            raise TransientError("the broker is away")
        for message in messages:
            if isinstance(message, Canary):
                self.canaries.append(message)
            elif isinstance(message, ProductChange):
                self._change(message)

    def _change(self, change: ProductChange) -> None:
        if change.op == "delete":
            self.products.pop(change.product_id, None)
            return
        if change.op == "upsert" or self.broken == "inference":
            self.texts += 1
        before = self.products.get(change.product_id, {}).get("fields", {}) if change.op == "patch" else {}
        fields = {**before, **change.fields}
        self.products[change.product_id] = {"fields": fields, "revisions": revisions(change.version or 0)}

    async def documents(self) -> int:
        return len(self.products)

    async def product(self, product_id: str) -> ProductResponse | None:
        product = self.products.get(product_id)
        return product and product_answer(product_id, **product)

    async def embedded(self) -> float:
        return self.texts

    async def search(self, text: str, *, k: int = 10, log: bool = False) -> SearchResponse:
        if self.broken == "search":
            raise TransientError("search does not answer")
        query_id = next(query.id for query in self.catalogue.queries if query.text == text)
        graded = self.catalogue.grades[query_id] if self.broken != "relevance" else {}
        ranked = sorted(self.products, key=lambda each: (-graded.get(each, 0), each))[:k]
        return search_answer(ranked, fields={each: self.products[each]["fields"] for each in ranked})

    def alert(self, key: str) -> Alert | None:
        for canary in self.canaries:
            if canary_key(RECALL, canary, Settings().generation) == key:
                missing = [each for each in canary.product_ids if each not in self.products]
                self.fired |= {key} if missing else set()
                if key in self.fired:
                    return self._alert(key, "firing" if missing else "resolved")
        return None

    def _alert(self, key: str, status: str) -> Alert:
        now = self.clock.now()
        return Alert.model_validate(
            {
                "alert_key": key,
                "status": status,
                "severity": "critical",
                "summary": "a canary is missing its product",
                "action": "look",
                "started_at": now,
                "updated_at": now,
            }
        )
