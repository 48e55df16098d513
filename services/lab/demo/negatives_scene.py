"""The scene of the hard negatives: what is mined while judgements come in, held against human grades."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.judgements import Negative
from services.lab.demo.client import DemoClient
from services.lab.demo.console import DemoConsole
from services.lab.demo.idle import MINING, wait_until_idle
from services.lab.simulation.catalogue import EXACT, GradedCatalogue
from shared.kafka.compacted import CompactedTopic, read_items


@dataclass(frozen=True)
class NegativesScene:
    """Watch the hard negatives arrive."""

    client: DemoClient
    console: DemoConsole
    catalogue: GradedCatalogue

    async def play(self) -> None:
        """Show what was mined, and how much of it people find right."""
        self.console.scene(
            "Hard negatives",
            "For each query with judgements, the live index is searched for what ranks high and is not "
            "relevant: never a positive, nor what looks like one.",
        )
        topic = CompactedTopic(self.client.addresses.settings, Negative.topic)
        await topic.start()
        try:
            with self.console.progress() as bars:
                await wait_until_idle(self.client, lambda: len(topic.items), MINING, bars, title="negatives")
            self.show(read_items(Negative, list(topic.items.values())))
        finally:
            await topic.stop()

    def show(self, negatives: Sequence[Negative]) -> None:
        """Show those of one query, and how many of all are right by human grades, of those that have one."""
        ids = {query.text.lower(): query.id for query in self.catalogue.queries}
        grades = [
            self.catalogue.grades.get(ids.get(negative.query, ""), {}).get(negative.product_id)
            for negative in negatives
        ]
        graded = [grade for grade in grades if grade is not None]
        exact = graded.count(EXACT) / max(1, len(graded))
        self._of_one_query(negatives)
        self.console.claim(f"{len(negatives):,} negatives", holds=len(negatives) > 0)
        self.console.say(
            f"People graded {len(graded):,} of them, and found {exact:.0%} exactly right after all: what "
            "nobody was shown, no shopper can call wrong."
        )
        self.console.figure("hard negatives", f"{len(negatives):,}; {exact:.0%} exact of those graded")

    def _of_one_query(self, negatives: Sequence[Negative]) -> None:
        if not negatives:
            return
        query = Counter(negative.query for negative in negatives).most_common(1)[0][0]
        titles = {product.id: product.title for product in self.catalogue.products}
        rows = [
            (
                self.console.cut(titles.get(negative.product_id, negative.product_id), beside=40),
                negative.difficulty,
                negative.rank,
                negative.score,
            )
            for negative in sorted(negatives, key=lambda negative: negative.rank)
            if negative.query == query
        ]
        self.console.table(("product", "difficulty", "rank", "score"), rows[:5], title=f"not for “{query}”")
