"""The canaries of every live generation: each generation has its own pace, memory and alerts."""

from collections.abc import Mapping
from datetime import timedelta

from services.monitor.alerts.domain.grace import Grace
from services.monitor.canaries.domain.verdict import Result
from services.monitor.canaries.registry import CanaryRegistry
from services.monitor.canaries.runner import CanaryDependencies, CanaryRunner
from services.monitor.canaries.settings import CanarySettings


class CanaryWatch:
    """Ticks often, one generation after the other."""

    def __init__(
        self,
        settings: CanarySettings,
        registry: CanaryRegistry,
        dependencies: CanaryDependencies,
        *,
        grace: timedelta,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._with = dependencies
        self._grace = grace
        self._runners: dict[str, CanaryRunner] = {}

    async def request(self, arguments: Mapping[str, str]) -> None:
        """Run at the next tick (the `canaries.run` command); of one `generation`, or of all."""
        wanted = arguments.get("generation")
        for generation, runner in self._runners.items():
            if wanted in {None, generation}:
                runner.order()

    async def tick(self, epoch: int) -> None:
        """Notice what changed, and run what it is time for."""
        canaries = await self._registry.read()
        building = self._with.generations.building()
        watched = [*await self._with.generations.live(), *building]
        self._runners = {generation: self._runner(generation) for generation in watched}
        for generation, runner in self._runners.items():
            runner.quiet = generation in building
            await runner.tick(canaries, epoch)

    async def results(self) -> list[Result]:
        """Return the last result of every canary on every live generation."""
        live = await self._with.generations.live()
        return [result for generation in live for result in await self._with.store(generation).results()]

    def _runner(self, generation: str) -> CanaryRunner:
        """Return the runner of that generation; a new one runs at once."""
        return self._runners.get(generation) or CanaryRunner(
            generation, self._settings, self._with, grace=Grace(span=self._grace)
        )
