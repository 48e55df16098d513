"""The scene of the hard negatives: what is mined while judgements come in, held against human grades."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.judgements import Negative
from services.lab.demo.client import DemoClient
from services.lab.demo.console import DemoConsole
from services.lab.demo.idle import MINING, wait_until_idle
from services.lab.simulation.catalogue import GradedCatalogue
from services.lab.simulation.mined_negatives import ENOUGH, GradedNegatives, graded_queries
from shared.kafka.compacted import CompactedTopic, read_items

JUDGE_QUERIES = "headrace_negatives_judge_queries"
"""0: the judge is the one that simulated logs taught."""


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
            taught_by = await self.client.metric("negatives", JUDGE_QUERIES)
            self.show(read_items(Negative, list(topic.items.values())), taught_by=int(taught_by))
        finally:
            await topic.stop()

    def show(self, negatives: Sequence[Negative], *, taught_by: int) -> None:
        """Show those of one query, and how many of all are right by human grades, of those that have one.

        `taught_by` are the queries of this shop that the miner's judge learned from.
        """
        numbers = GradedNegatives.of(negatives, graded_queries(self.catalogue))
        exact = f"{numbers.exact_share:.0%}"
        self._of_one_query(negatives)
        self.console.claim(f"{numbers.number:,} negatives", holds=numbers.number > 0)
        difficulties = ", ".join(f"{number:,} {name}" for name, number in numbers.difficulties.items())
        queries = len({negative.query for negative in negatives})
        self.console.say(
            f"{numbers.with_enough:,} of {queries:,} queries have {ENOUGH} or more. By difficulty: "
            f"{difficulties}."
        )
        judge = f"{taught_by:,} queries of this shop taught it" if taught_by else "simulated logs taught it"
        self.console.say(
            f"People graded {numbers.graded:,} of them, and found {exact} exactly right after all. "
            "What nobody was shown, no shopper can call wrong: a judge of relevance keeps out what is likely "
            f"right ({judge})."
        )
        self.console.figure("hard negatives", f"{numbers.number:,}; {exact} exact of those graded")

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
