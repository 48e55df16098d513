"""The trial's scene: shoppers are shown both generations' products in one list, and decide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from math import isnan

from rich.progress import Progress

from schemas.control import Rollout, TrialEnd, TrialTerms
from schemas.search_api import SearchResponse
from services.lab.demo.client import DemoClient, until
from services.lab.demo.console import DemoConsole
from services.lab.demo.idle import JUDGING, wait_until_idle
from services.lab.demo.ranked import PAGE
from services.lab.simulation import delivery
from services.lab.simulation.catalogue import GradedCatalogue
from services.lab.simulation.shoppers import ClickModel
from services.lab.simulation.traffic import Simulation, Traffic, stream
from services.lab.simulation.trial_front_end import TrialFrontEnd
from services.rollout import requests
from services.rollout.settings import Settings
from shared.errors import TransientError
from shared.generations.rollout_log import RolloutLog
from shared.generations.trial import Trial, arm_of

SECOND = timedelta(seconds=1)
SHARE = 0.8
CHUNK = 2_500
"""Sessions written before the trial is looked at again."""
SPAN = timedelta(hours=3)
"""Of the sessions of a chunk."""
WINDOW_SECONDS = 60
ENDS_WITHIN = timedelta(minutes=5)
LOOKED_AT = 12
"""Sessions that ask the live search, and must be shown what the shop's own front end would show them."""


@dataclass(frozen=True, kw_only=True)
class TrialScene:
    """A trial from its request to its end, with shoppers of `catalogue`'s queries.

    `sessions` are the interleaved ones after which it ends in any case; `seed` is that of the shoppers who
    taught the candidate: the same queries are asked often.
    """

    client: DemoClient
    console: DemoConsole
    catalogue: GradedCatalogue
    candidate: str
    seed: int
    sessions: int

    async def play(self) -> bool:
        """Return whether shoppers preferred the candidate. Raises `TransientError` when there is no end."""
        self.console.scene(
            "A trial",
            "What was shown so far cannot tell whether the candidate is better, so shoppers do: four of five "
            "sessions see the products of both generations, drafted into one list in turns. What they choose "
            "counts, once a session, when its window has closed.",
        )
        live = self.client.addresses.settings.generation
        rankings = [await self._rankings(generation) for generation in (live, self.candidate)]
        settings = Settings.load(**dict(self.client.addresses.settings))
        log = RolloutLog(settings)
        await log.start()
        try:
            trial = await self._begin(settings, log)
            front_end = TrialFrontEnd(trial, *rankings)
            await self._compare(front_end)
            ended = await self._shop(front_end, log)
        finally:
            await log.stop()
        return self._conclude(ended)

    async def _rankings(self, generation: str) -> Mapping[str, Sequence[str]]:
        """Return what a generation shows for each query, best first."""
        rankings = {}
        for query in self.catalogue.queries:

            async def whole(text: str = query.text) -> SearchResponse | None:
                answer = await self.client.search(text, k=PAGE, generation=generation)
                return None if answer.partial else answer

            answer, _ = await until(whole, within=60 * SECOND)
            if answer is None:
                raise TransientError(f"{generation} gave no complete answer to “{query.text}”")
            rankings[query.id] = [hit.product_id for hit in answer.hits]
        return rankings

    async def _begin(self, settings: Settings, log: RolloutLog) -> Trial:
        terms = TrialTerms(
            share=SHARE, sessions=self.sessions, window_seconds=WINDOW_SECONDS, promote="at once"
        )
        request = requests.new_request("trial", self.candidate).model_copy(update={"trial": terms})
        answer = await requests.ask(settings, request)

        async def begun() -> Trial | None:
            return log.generations.trial

        trial, _ = await until(begun, within=60 * SECOND)
        if trial is None:
            raise TransientError(f"the trial did not begin: {answer.status}, {answer.reason}")
        self.console.claim(
            f"{trial.name} began with {trial.terms.share:.0%} of the sessions, {self.sessions:,} at most; "
            f"of candidates that are no better, {trial.terms.error:.1%} would be promoted",
            holds=True,
        )
        return trial

    async def _compare(self, front_end: TrialFrontEnd) -> None:
        """Ask the live search in some sessions' names, and hold its answers against the function's."""
        same = late = 0
        for number in range(LOOKED_AT):
            query, session = self.catalogue.queries[number % len(self.catalogue.queries)], f"look-{number}"
            query_id = f"{front_end.trial.name}-look-{number}"
            answer = await self.client.search(
                query.text, k=PAGE, log=True, session_id=session, query_id=query_id
            )
            shown = [(hit.product_id, hit.team) for hit in answer.hits]
            is_same = shown == front_end.drafted(query.id, query_id, session_id=session, k=PAGE)
            same += is_same
            late += not is_same and not any(hit.team for hit in answer.hits)
        waited = f"; {late} would have waited for the candidate too long" if late else ""
        self.console.claim(
            f"POST /search drafts as the function says: {same} of {LOOKED_AT} answers, in both arms{waited}",
            holds=same + late == LOOKED_AT and late < same,
        )

    async def _shop(self, front_end: TrialFrontEnd, log: RolloutLog) -> Rollout:
        """Let shoppers come until the trial has ended."""
        name = front_end.trial.name
        with self.console.progress() as bars:
            bar = bars.add_task("interleaved sessions", total=self.sessions, note="")
            number = interleaved = 0
            while (answer := log.answers.get(name)) is None or answer.status == "running":
                if interleaved >= self.sessions * 1.2:
                    return await self._end(log, name)
                number += 1
                interleaved += await self._chunk(front_end, number, bars)
                bars.update(bar, completed=min(interleaved, self.sessions), note=self._note())
        return answer

    async def _chunk(self, front_end: TrialFrontEnd, number: int, bars: Progress) -> int:
        """Write some sessions to the topics, as a shop's own front end would; return how many interleaved."""
        traffic = Traffic(
            sessions=CHUNK,
            until=self.client.clock.now(),
            span=SPAN,
            seed=self.seed + 1000 * number,
            popularity=self.seed,
        )
        simulation = Simulation(self.catalogue, ClickModel(), traffic)
        await delivery.write(
            stream(simulation, front_end), self.client.publisher, rate=None, progress=lambda _: None
        )
        await wait_until_idle(
            self.client, lambda: len(self.client.judgements()), JUDGING, bars, title="judgements"
        )
        bars.remove_task(bars.tasks[-1].id)
        sessions = {visit.session_id for visit in replace(simulation).visits()}
        arms = [arm_of(front_end.trial, session_id=session, client_id=None) for session in sessions]
        return arms.count("interleaved")

    def _note(self) -> str:
        """Return the interval, as the alert of the trial has it."""
        alert = self.client.alert(f"trial:{self.candidate}")
        evidence = alert.evidence if alert else {}
        mean, low, high = (float(str(evidence.get(name, "nan"))) for name in ("mean", "low", "high"))
        return "" if isnan(mean) else f"{mean:+.1%} [{low:+.1%}, {high:+.1%}]"

    async def _end(self, log: RolloutLog, name: str) -> Rollout:
        """Wait for the last windows to close, and return the final answer."""

        async def ended() -> Rollout | None:
            answer = log.answers.get(name)
            return answer if answer is not None and answer.status != "running" else None

        answer, _ = await until(ended, within=ENDS_WITHIN)
        if answer is None:
            raise TransientError(f"{name} has not ended {ENDS_WITHIN} after its last session")
        return answer

    def _conclude(self, answer: Rollout) -> bool:
        end: TrialEnd | None = answer.end
        self.console.claim(f"the trial ended: {end}; {answer.reason}", holds=end not in (None, "void"))
        self.console.figure("trial", f"{end}; {answer.reason}")
        return end == "better"
