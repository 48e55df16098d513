"""The learning loop's scenes: shoppers teach, a model is made, judged, rolled out, and search is better."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Literal

from rich.progress import Progress

from schemas.control import Model, Rollout
from schemas.judgements import Negative
from services.cli.demonstration.place import Place, until
from services.cli.demonstration.ranked import Ranked, asked_all
from services.cli.demonstration.screen import Screen
from services.cli.rollout import Told, new_request
from services.cli.rollout import ask as ask_rollout
from services.cli.simulation import delivery
from services.cli.simulation.catalogue import EXACT, Catalogue
from services.cli.simulation.shoppers import ClickModel
from services.cli.simulation.traffic import Ranker, Simulation, Traffic, stream
from services.cli.train import ask as ask_training
from services.cli.train import requested
from services.rollout.settings import Settings as RolloutSettings
from services.trainer.domain.recipe import QUICK
from services.trainer.domain.statistics import Difference
from shared.compacted import CompactedTopic
from shared.errors import FatalError, HeadraceError, TransientError

SECOND = timedelta(seconds=1)
SESSIONS = 20_000
"""A week of a small shop; with a fifth of it, what a model learns cannot be told from chance."""
NOVEL_SHARE = 1 / 3
"""Of the queries, those that no shopper asks: what is learned must carry over to them."""
QUIET = 8.0
"""Seconds without news after which a stream has said everything."""
FALSE_SHARE = 0.15
"""Of the negatives; shoppers' clicks are no experts."""
BACKFILLED_WITHIN = timedelta(minutes=20)
ASKED, NOVEL = "queries that shoppers asked", "queries that nobody asked"
Gauge = tuple[str, str]
"""A worker, and a series of its metrics that is 0 when it has nothing more to do."""
JUDGING: Gauge = ("judgements", "headrace_lag_messages")
MINING: Gauge = ("negatives", "headrace_negatives_waiting_queries")
SETTLED_WITHIN = timedelta(minutes=10)
SERVED_WITHIN = timedelta(seconds=60)
CANDIDATE = "g2"


@dataclass
class LearningStory:
    """What is played, where, before whom; the catalogue is already in the index."""

    place: Place
    screen: Screen
    catalogue: Catalogue
    seed: int = 1

    def __post_init__(self) -> None:
        queries = list(self.catalogue.queries)
        random.Random(self.seed).shuffle(queries)  # noqa: S311 - reproducible
        cut = round(len(queries) * NOVEL_SHARE)
        self.groups = {
            ASKED: replace(self.catalogue, queries=tuple(queries[cut:])),
            NOVEL: replace(self.catalogue, queries=tuple(queries[:cut])),
        }
        self._negatives = CompactedTopic(self.place.addresses.settings, Negative.topic)
        self._before: dict[str, Ranked] = {}

    async def play(self) -> None:
        """Play every scene; one that breaks off is a claim that does not hold, and ends the story."""
        try:
            await self._negatives.start()
            await self._scenes()
        except HeadraceError as error:
            self.screen.claim(f"the scene was played to its end: {error}", holds=False)
        finally:
            await self._negatives.stop()

    async def _scenes(self) -> None:
        await self.search_before()
        await self.shoppers()
        await self.negatives()
        model = await self.training()
        if model.verdict != "admitted":
            self.screen.say("The live model stays: a candidate that was refused is not rolled out.")
            self.screen.claim("a better model was made and rolled out", holds=False)
            return
        await self.roll_out(model)
        await self.search_after()
        await self.roll_back()

    async def search_before(self) -> None:
        """Measure search as it is, by what people said of the products."""
        self.screen.scene(
            "Search, before",
            "nDCG@10 of hybrid search against human grades, asked through POST /search. Two thirds of the "
            "queries will be asked by shoppers, the others by nobody.",
        )
        self._before = await self._measured()
        for name, ranked in self._before.items():
            self.screen.say(f"{name}: nDCG@10 {ranked.mean:.3f} ({len(ranked.values)} queries)")

    async def shoppers(self) -> None:
        """Let shoppers ask, click, buy; wait until everything they did is judged."""
        self.screen.scene(
            "Shoppers",
            f"{SESSIONS:,} sessions of a week on what search just answered, written to search.queries and "
            "search.events: position bias, duplicates, late and disordered messages, robots.",
        )
        asked, shown = self.groups[ASKED], Ranker.like(self._before[ASKED].answers)
        traffic = Traffic(sessions=SESSIONS, until=self.place.clock.now(), seed=self.seed)
        simulation = Simulation(asked, ClickModel(), traffic)
        arrivals = stream(simulation, shown)
        with self.screen.progress() as bars:
            bar = bars.add_task("messages", total=None, note="")
            written = await delivery.write(
                arrivals, self.place.publisher, rate=None, progress=lambda count: bars.advance(bar, count)
            )
            await self._settled(lambda: len(self.place.judgements()), JUDGING, bars, title="judgements")
        count = len(self.place.judgements())
        self.screen.claim(
            f"{written.messages:,} messages became {count:,} judgements of (query, product)", holds=count > 0
        )
        self.screen.figure("judgements", f"{count:,} from {written.messages:,} messages")

    async def negatives(self) -> None:
        """Watch the hard negatives arrive, and hold them against the grades."""
        self.screen.scene(
            "Hard negatives",
            "For each query with judgements, the live index is searched for what ranks high and is not "
            "relevant: never a positive, nor what looks like one.",
        )
        with self.screen.progress() as bars:
            await self._settled(lambda: len(self._negatives.items), MINING, bars, title="negatives")
        found = [Negative.decode(value) for value in list(self._negatives.items.values())]
        ids = {query.text.lower(): query.id for query in self.catalogue.queries}
        wrong = sum(self.catalogue.grade(ids.get(it.query, ""), it.product_id) == EXACT for it in found)
        self._show_negatives(found)
        self.screen.claim(
            f"{len(found):,} negatives; by human grades {wrong:,} of them are exactly right after all",
            holds=wrong < FALSE_SHARE * len(found),
        )
        self.screen.figure("hard negatives", f"{len(found):,}")

    def _show_negatives(self, found: Sequence[Negative]) -> None:
        if not found:
            return
        query = Counter(it.query for it in found).most_common(1)[0][0]
        titles = {product.id: product.title for product in self.catalogue.products}
        rows = [
            (
                self.screen.cut(titles.get(it.product_id, it.product_id), beside=40),
                it.difficulty,
                it.rank,
                it.score,
            )
            for it in sorted(found, key=lambda it: it.rank)
            if it.query == query
        ]
        self.screen.table(("product", "difficulty", "rank", "score"), rows[:5], title=f"not for “{query}”")

    async def training(self) -> Model:
        """Ask for a job, watch it, and return the model; raises `FatalError` when the job fails."""
        self.screen.scene(
            "A model is made",
            "One message on training.jobs.v1. The trainer builds a data set from the judgements, proves that "
            "nothing leaks, fine-tunes the live model, and compares the two on what neither was trained on.",
        )
        loop = asyncio.get_running_loop()
        began = loop.time()
        with self.screen.progress() as bars:
            bar = bars.add_task("training", total=100, note="waits for the trainer")
            job, model = await ask_training(
                self.place.addresses.settings,
                requested("encoder", "", options=QUICK, seed=self.seed, now=self.place.clock.now()),
                told=lambda it: bars.update(
                    bar, completed=round(100 * it.progress), note=it.stage or it.status
                ),
            )
        self.screen.claim(
            f"the job {job.status} after {loop.time() - began:.0f} s {job.error}".rstrip(),
            holds=job.status == "succeeded",
        )
        if model is None:
            raise FatalError("there is no model to roll out")
        self.screen.say(f"{model.model_id} is {model.verdict}; its card: {model.location}/MODEL.md")
        for reason in model.reasons:
            self.screen.say(f"  {reason}")
        self.screen.figure("model", f"{model.model_id}, {model.verdict}")
        return model

    async def roll_out(self, model: Model) -> None:
        """Build an index generation with the model beside the live one, and switch to it."""
        self.screen.scene(
            "A new generation",
            "The candidate's index is built beside the live one from its records, and fed with every change. "
            "When it has caught up and its canaries are green, one message switches all searches to it.",
        )
        with self.screen.progress() as bars:
            bar = bars.add_task(f"products in {CANDIDATE}", total=None, note="")
            built, took = await self._asked(
                "backfill",
                model.model_id,
                within=BACKFILLED_WITHIN,
                told=lambda candidate, live, lacking: bars.update(
                    bar,
                    total=live.documents or None,
                    completed=candidate.documents,
                    note=lacking[0] if lacking else "ready",
                ),
            )
        self.screen.claim(
            f"{CANDIDATE} was built and has caught up after {took / SECOND:.0f} s {built.reason}",
            holds=built.status == "done",
        )
        self.screen.figure("new generation", f"{CANDIDATE}, built in {took / SECOND:.0f} s")
        await self._switch("promote", CANDIDATE)

    async def search_after(self) -> None:
        """Measure again, and say how sure the difference is."""
        self.screen.scene("Search, after", "The same queries, the same grades, the new generation.")
        after = await self._measured()
        rows, differences = [], {}
        for name, ranked in after.items():
            it = differences[name] = self._before[name].against(ranked)
            rows.append((name, it.count, f"{it.live:.3f}", f"{it.candidate:.3f}", _interval(it)))
        self.screen.table(("nDCG@10", "queries", "before", "after", "difference (95 %)"), rows)
        asked, novel = differences.values()
        self.screen.claim(
            f"search is better for what shoppers asked: {_interval(asked)}", holds=asked.low > 0
        )
        self.screen.claim(f"and not worse for what nobody asked: {_interval(novel)}", holds=novel.high > 0)
        for name, it in differences.items():
            self.screen.figure(f"nDCG@10, {name}", f"{it.live:.3f} to {it.candidate:.3f}, {_interval(it)}")

    async def roll_back(self) -> None:
        """Go back and forth again, by a message each."""
        self.screen.scene("Back, by one message", "The old generation is still warm.")
        await self._switch("rollback", self.place.addresses.settings.generation)
        await self._switch("promote", CANDIDATE)

    async def _switch(self, action: Literal["promote", "rollback"], goal: str) -> None:
        """Ask for it, and claim it when search answers from the other generation."""
        answer, asked = await self._asked(action)
        found, took = await until(partial(self._served_by, goal), within=SERVED_WITHIN)
        self.screen.claim(
            f"{action}: {answer.status} after {asked / SECOND:.1f} s {answer.reason}; searches are answered "
            f"from {goal} {took / SECOND:.1f} s later",
            holds=answer.status == "done" and found is not None,
        )

    async def _asked(
        self,
        action: Literal["backfill", "promote", "rollback"],
        model_id: str | None = None,
        *,
        within: timedelta = SERVED_WITHIN,
        told: Told = lambda *_: None,
    ) -> tuple[Rollout, timedelta]:
        settings = RolloutSettings.load(**dict(self.place.addresses.settings))
        request = new_request(action, CANDIDATE).model_copy(update={"model_id": model_id})
        began = self.place.clock.now()
        try:
            answer = await asyncio.wait_for(ask_rollout(settings, request, told), within.total_seconds())
        except TimeoutError as error:
            raise TransientError(f"{action} of {CANDIDATE} was not answered within {within}") from error
        return answer, self.place.clock.now() - began

    async def _served_by(self, generation: str) -> bool | None:
        answer = await self.place.search(self.catalogue.queries[0].text)
        return True if answer["generation"] == generation and not answer["partial"] else None

    async def _measured(self) -> dict[str, Ranked]:
        with self.screen.progress() as bars:
            bar = bars.add_task("queries", total=len(self.catalogue.queries), note="")
            return {
                name: await asked_all(self.place, group, lambda: bars.advance(bar))
                for name, group in self.groups.items()
            }

    async def _settled(self, count: Callable[[], int], open_: Gauge, bars: Progress, *, title: str) -> None:
        """Return when the worker says that nothing is open, and the count has not grown for a while."""
        bar = bars.add_task(title, total=None, note="")
        loop = asyncio.get_running_loop()
        last, moved, began = -1, loop.time(), loop.time()
        while last <= 0 or loop.time() - moved < QUIET:
            now = count()
            if now != last or (now and await self.place.metric(*open_)):
                last, moved = now, loop.time()
                bars.update(bar, completed=now)
            if last <= 0 and loop.time() - moved > SERVED_WITHIN / SECOND:
                raise TransientError("nothing came")
            if loop.time() - began > SETTLED_WITHIN / SECOND:
                raise TransientError(f"{open_[0]} is still at it after {SETTLED_WITHIN}")
            await asyncio.sleep(0.5)


def _interval(it: Difference) -> str:
    return f"{it.mean:+.3f} [{it.low:+.3f}, {it.high:+.3f}]"
