"""The learning loop's scenes: shoppers teach, a model is made, judged, rolled out, and search is better."""

import asyncio
import random
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Literal

from schemas.control import Model, Rollout
from services.lab.demo.client import DemoClient, until
from services.lab.demo.console import DemoConsole
from services.lab.demo.idle import JUDGING, wait_until_idle
from services.lab.demo.negatives_scene import NegativesScene
from services.lab.demo.ranked import RankedAnswers, ask_all
from services.lab.demo.trial_scene import TrialScene
from services.lab.simulation import delivery
from services.lab.simulation.catalogue import GradedCatalogue
from services.lab.simulation.shoppers import ClickModel
from services.lab.simulation.traffic import Ranker, Simulation, Traffic, stream
from services.rollout import requests as rollout_requests
from services.rollout.requests import OnProgress
from services.rollout.settings import Settings as RolloutSettings
from services.trainer.evaluation.domain.statistics import PairedDifference
from services.trainer.jobs import requests as job_requests
from services.trainer.learning.domain.recipe import QUICK
from shared.errors import FatalError, HeadraceError, TransientError

SECOND = timedelta(seconds=1)
NOVEL_SHARE = 1 / 3
"""Of the queries, those that no shopper asks: what is learned must carry over to them."""
BACKFILLED_WITHIN = timedelta(minutes=20)
ASKED, NOVEL = "queries that shoppers asked", "queries that nobody asked"
SERVED_WITHIN = timedelta(seconds=60)
CANDIDATE = "g2"


@dataclass
class LearningScript:
    """The scenes of the learning loop; the catalogue is already in the index."""

    client: DemoClient
    console: DemoConsole
    catalogue: GradedCatalogue
    sessions: int
    """From which the model learns."""
    trial_sessions: int
    """Interleaved ones, on top, after which a trial ends in any case."""
    seed: int = 1

    def __post_init__(self) -> None:
        queries = list(self.catalogue.queries)
        random.Random(self.seed).shuffle(queries)  # noqa: S311 - reproducible
        cut = round(len(queries) * NOVEL_SHARE)
        self.groups = {
            ASKED: replace(self.catalogue, queries=tuple(queries[cut:])),
            NOVEL: replace(self.catalogue, queries=tuple(queries[:cut])),
        }
        self._before: dict[str, RankedAnswers] = {}

    async def play(self) -> None:
        """Play every scene; one that breaks off is a claim that does not hold, and ends the demo."""
        try:
            await self._scenes()
        except HeadraceError as error:
            self.console.claim(f"the scene was played to its end: {error}", holds=False)

    async def _scenes(self) -> None:
        await self.search_before()
        await self.shoppers()
        await self.negatives()
        model = await self.training()
        if model.verdict == "refused":
            self._stays("A candidate that was refused is not rolled out.")
            return
        await self.build(model)
        if model.verdict == "undecided" and not await self.trial():
            self._stays("What shoppers do not prefer is not rolled out.")
            return
        if model.verdict == "admitted":
            await self._switch("promote", CANDIDATE)
        await self.search_after()
        await self.roll_back()

    def _stays(self, why: str) -> None:
        """Say that nothing changes: an honest end, also of a shop where nothing helps."""
        self.console.say(f"The live model stays, and search is as it was. {why}")
        self.console.figure("the live model", "stays")

    async def search_before(self) -> None:
        """Measure search as it is, by what people said of the products."""
        self.console.scene(
            "Search, before",
            "nDCG@10 of hybrid search against human grades, asked through POST /search. Two thirds of the "
            "queries will be asked by shoppers, the others by nobody.",
        )
        self._before = await self._measure()
        for name, ranked in self._before.items():
            self.console.say(f"{name}: nDCG@10 {ranked.mean:.3f} ({len(ranked.values)} queries)")

    async def shoppers(self) -> None:
        """Let shoppers ask, click, buy; wait until everything they did is judged."""
        self.console.scene(
            "Shoppers",
            f"{self.sessions:,} sessions of a week on exactly what search just answered, written to "
            "search.queries and search.events: position bias, duplicates, late and disordered messages, "
            "robots.",
        )
        catalogue_asked = self.groups[ASKED]
        ranker = Ranker.like(self._before[ASKED].answers)
        traffic = Traffic(
            sessions=self.sessions, until=self.client.clock.now(), seed=self.seed, popularity=self.seed
        )
        simulation = Simulation(catalogue_asked, ClickModel(), traffic)
        arrivals = stream(simulation, ranker)
        with self.console.progress() as bars:
            bar = bars.add_task("messages", total=None, note="")
            report = await delivery.write(
                arrivals, self.client.publisher, rate=None, progress=lambda count: bars.advance(bar, count)
            )
            await wait_until_idle(
                self.client, lambda: len(self.client.judgements()), JUDGING, bars, title="judgements"
            )
        count = len(self.client.judgements())
        self.console.claim(
            f"{report.messages:,} messages became {count:,} judgements of (query, product)", holds=count > 0
        )
        self.console.figure("judgements", f"{count:,} from {report.messages:,} messages")

    async def negatives(self) -> None:
        """Watch the hard negatives arrive, and hold them against the grades."""
        await NegativesScene(self.client, self.console, self.catalogue).play()

    async def training(self) -> Model:
        """Ask for a job, watch it, and return the model; raises `FatalError` when the job fails."""
        self.console.scene(
            "A model is made",
            "One message on training.jobs.v1. The trainer builds a data set from the judgements, proves that "
            "nothing leaks, fine-tunes the live model, and compares the two on what neither was trained on.",
        )
        loop = asyncio.get_running_loop()
        began = loop.time()
        with self.console.progress() as bars:
            bar = bars.add_task("training", total=100, note="waits for the trainer")
            job, model = await job_requests.ask(
                self.client.addresses.settings,
                job_requests.new_job(
                    "encoder", "", options=QUICK, seed=self.seed, now=self.client.clock.now()
                ),
                on_progress=lambda job_state: bars.update(
                    bar, completed=round(100 * job_state.progress), note=job_state.stage or job_state.status
                ),
            )
        self.console.claim(
            f"the job {job.status} after {loop.time() - began:.0f} s {job.error}".rstrip(),
            holds=job.status == "succeeded",
        )
        if model is None:
            raise FatalError("there is no model to roll out")
        self.console.say(f"{model.model_id} is {model.verdict}; its card: {model.location}/MODEL.md")
        for reason in model.reasons:
            self.console.say(f"  {reason}")
        self.console.figure("model", f"{model.model_id}, {model.verdict}")
        return model

    async def build(self, model: Model) -> None:
        """Build an index generation with the model beside the live one."""
        self.console.scene(
            "A new generation",
            "The candidate's index is built beside the live one from its records, and fed with every change. "
            "When it has caught up and its canaries are green, one message can switch all searches to it.",
        )
        with self.console.progress() as bars:
            bar = bars.add_task(f"products in {CANDIDATE}", total=None, note="")
            built, duration = await self._request(
                "backfill",
                model.model_id,
                within=BACKFILLED_WITHIN,
                on_progress=lambda candidate, live, lacking: bars.update(
                    bar,
                    total=live.documents or None,
                    completed=candidate.documents,
                    note=lacking[0] if lacking else "ready",
                ),
            )
        self.console.claim(
            f"{CANDIDATE} was built and has caught up after {duration / SECOND:.0f} s {built.reason}",
            holds=built.status == "done",
        )
        self.console.figure("new generation", f"{CANDIDATE}, built in {duration / SECOND:.0f} s")

    async def trial(self) -> bool:
        """Let shoppers decide; return whether they preferred the candidate, which then answers them all."""
        scene = TrialScene(
            client=self.client,
            console=self.console,
            catalogue=self.groups[ASKED],
            candidate=CANDIDATE,
            seed=self.seed,
            sessions=self.trial_sessions,
        )
        if not await scene.play():
            return False
        served, served_after = await until(partial(self._served_by, CANDIDATE), within=SERVED_WITHIN)
        self.console.claim(
            f"searches are answered from {CANDIDATE} {served_after / SECOND:.1f} s later",
            holds=served is not None,
        )
        return True

    async def search_after(self) -> None:
        """Measure again, and say how sure the difference is."""
        self.console.scene("Search, after", "The same queries, the same grades, the new generation.")
        after = await self._measure()
        rows, differences = [], {}
        for name, ranked in after.items():
            difference = differences[name] = self._before[name].against(ranked)
            rows.append(
                (
                    name,
                    difference.count,
                    f"{difference.live:.3f}",
                    f"{difference.candidate:.3f}",
                    _interval(difference),
                )
            )
        self.console.table(("nDCG@10", "queries", "before", "after", "difference (95 %)"), rows)
        for_asked, for_novel = differences.values()
        self.console.claim(
            f"search is better for what shoppers asked: {_interval(for_asked)}", holds=for_asked.low > 0
        )
        self.console.claim(
            f"and not worse for what nobody asked: {_interval(for_novel)}", holds=for_novel.high > 0
        )
        for name, difference in differences.items():
            self.console.figure(
                f"nDCG@10, {name}",
                f"{difference.live:.3f} to {difference.candidate:.3f}, {_interval(difference)}",
            )

    async def roll_back(self) -> None:
        """Go back and forth again, by a message each."""
        self.console.scene("Back, by one message", "The old generation is still warm.")
        await self._switch("rollback", self.client.addresses.settings.generation)
        await self._switch("promote", CANDIDATE)

    async def _switch(self, action: Literal["promote", "rollback"], generation: str) -> None:
        """Ask for it, and claim it when search answers from the other generation."""
        answer, answered_after = await self._request(action)
        served, served_after = await until(partial(self._served_by, generation), within=SERVED_WITHIN)
        self.console.claim(
            f"{action}: {answer.status} after {answered_after / SECOND:.1f} s {answer.reason}; "
            f"searches are answered from {generation} {served_after / SECOND:.1f} s later",
            holds=answer.status == "done" and served is not None,
        )

    async def _request(
        self,
        action: Literal["backfill", "promote", "rollback"],
        model_id: str | None = None,
        *,
        within: timedelta = SERVED_WITHIN,
        on_progress: OnProgress = lambda *_: None,
    ) -> tuple[Rollout, timedelta]:
        settings = RolloutSettings.load(**dict(self.client.addresses.settings))
        request = rollout_requests.new_request(action, CANDIDATE).model_copy(update={"model_id": model_id})
        began = self.client.clock.now()
        try:
            answer = await asyncio.wait_for(
                rollout_requests.ask(settings, request, on_progress), within.total_seconds()
            )
        except TimeoutError as error:
            raise TransientError(f"{action} of {CANDIDATE} was not answered within {within}") from error
        return answer, self.client.clock.now() - began

    async def _served_by(self, generation: str) -> bool | None:
        answer = await self.client.search(self.catalogue.queries[0].text)
        return True if answer.generation == generation and not answer.partial else None

    async def _measure(self) -> dict[str, RankedAnswers]:
        with self.console.progress() as bars:
            bar = bars.add_task("queries", total=len(self.catalogue.queries), note="")
            return {
                name: await ask_all(self.client, group, lambda: bars.advance(bar))
                for name, group in self.groups.items()
            }


def _interval(difference: PairedDifference) -> str:
    return f"{difference.mean:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"
