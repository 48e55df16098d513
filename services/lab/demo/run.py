"""One run of the demo: which script is played, of which shop, on which installation."""

import asyncio
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.lab.demo import hints
from services.lab.demo.client import Addresses, DemoClient
from services.lab.demo.console import DemoConsole
from services.lab.demo.script import DemoScript
from services.lab.simulation.catalogue import GradedCatalogue
from shared.errors import ConfigurationError
from shared.generations.rollout_log import read_rollouts
from shared.infrastructure import running
from shared.infrastructure.stack import Stack
from shared.infrastructure.workers import CORE, LEARNING
from shared.settings import Settings

WATCH_SECONDS = 0.3


@dataclass(frozen=True)
class DemoRun:
    """The whole loop, or with `learn` the learning loop, played on a shop and shown on a console."""

    catalogue: GradedCatalogue
    console: DemoConsole
    learn: bool
    sessions: int = 20_000
    """From which the model learns; a week of a small shop."""
    trial_sessions: int = 20_000
    """Interleaved ones, on top, after which a trial ends in any case."""

    @property
    def workers(self) -> tuple[str, ...]:
        """The workers that the script needs."""
        return (*CORE, *LEARNING) if self.learn else CORE

    def play(self, addresses: Addresses, stack: Stack | None = None) -> None:
        """Play the scenes and sum up; a stack that was started for them is watched over meanwhile."""
        began = time.monotonic()
        following = asyncio.run(self._play(addresses, stack))
        self.console.figure("the whole demo", f"{time.monotonic() - began:.0f} s")
        self.console.close(following, {"Kafka": addresses.settings.kafka} | _metrics(addresses.urls))

    async def _play(self, addresses: Addresses, stack: Stack | None) -> list[str]:
        """Play the scenes; returns what to try next."""
        async with DemoClient(addresses) as client:
            tasks = [asyncio.create_task(self._scenes(client, stack))]
            if stack:
                tasks.append(asyncio.create_task(_supervise(stack)))
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.result() if task.done() else task.cancel()
            return await self._hints(client)

    async def _hints(self, client: DemoClient) -> list[str]:
        addresses = client.addresses
        if self.learn:
            rollouts = await read_rollouts(addresses.settings)
            return hints.learned(may_go_back=rollouts.generations.previous is not None)
        query = hints.most_shown(client.judgements().values()) or self.catalogue.queries[0].text
        return hints.usual(query, addresses.urls["search"])

    async def _scenes(self, client: DemoClient, stack: Stack | None) -> None:
        script = DemoScript(client, self.console, self.catalogue, stack.not_ready if stack else dict)
        if not self.learn:
            await script.play()
        elif await script.play_opening():
            from services.lab.demo.learning_script import LearningScript  # noqa: PLC0415 - imports torch

            learning = LearningScript(
                client,
                self.console,
                self.catalogue,
                sessions=self.sessions,
                trial_sessions=self.trial_sessions,
            )
            await learning.play()


def _metrics(urls: Mapping[str, str]) -> dict[str, str]:
    return {name: f"{url}/metrics" for name, url in urls.items()}


async def _supervise(stack: Stack) -> None:
    while True:
        stack.supervise_once()  # blocks for a moment only, and must run on the main thread: see Stack
        await asyncio.sleep(WATCH_SECONDS)


def watch(stack: Stack) -> None:
    """Watch over the stack until a signal is raised as an exception."""
    while True:
        stack.supervise_once()
        time.sleep(WATCH_SECONDS)


def fresh_directory(settings: Settings) -> Path:
    """Return the demo's own directory, empty: it shows the same the tenth time as the first.

    Raises `ConfigurationError` when an installation runs on it, or where `headrace up` would run.
    """
    directory = settings.data_dir / "demo"
    for data_dir in (settings.data_dir, directory):
        if installation := running.read(data_dir):
            raise ConfigurationError(
                f"an installation runs on {data_dir} (process {installation.pid}): "
                "stop it, or give --external"
            )
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    return directory


def announce(directory: Path, data_dir: Path) -> None:
    """Let other commands find the demo's installation where they look for `headrace up`."""
    if installation := running.read(directory):
        installation.write(data_dir)
