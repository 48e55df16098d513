"""The canaries of every live generation: each generation has its own pace, memory and alerts."""

from collections.abc import Mapping

from services.monitor.canary_run import GenerationWatch, Instruments
from services.monitor.domain.verdict import Result
from services.monitor.settings import Settings


class CanaryWatch:
    """Looks often, at one generation after the other."""

    def __init__(self, settings: Settings, instruments: Instruments) -> None:
        self._settings = settings.monitor
        self._with = instruments
        self._watches: dict[str, GenerationWatch] = {}

    async def request(self, arguments: Mapping[str, str]) -> None:
        """Run at the next look (the `canaries.run` command); of one `generation`, or of all."""
        wanted = arguments.get("generation")
        for generation, watch in self._watches.items():
            if wanted in {None, generation}:
                watch.order()

    async def look(self, epoch: int) -> None:
        """Notice what changed, and run what it is time for."""
        canaries = await self._with.book.read()
        building = self._with.generations.building()
        watched = [*await self._with.generations.live(), *building]
        self._watches = {generation: self._watch(generation) for generation in watched}
        for generation, watch in self._watches.items():
            watch.quiet = generation in building
            await watch.look(canaries, epoch)

    async def results(self) -> list[Result]:
        """Return the last result of every canary on every live generation."""
        live = await self._with.generations.live()
        return [result for generation in live for result in await self._with.store(generation).results()]

    def _watch(self, generation: str) -> GenerationWatch:
        """Return the watch of that generation; a new one runs at once."""
        return self._watches.get(generation) or GenerationWatch(generation, self._settings, self._with)
