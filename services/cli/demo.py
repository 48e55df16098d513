"""`headrace demo`: the whole loop at work on a sample shop; then it is yours to try, until Ctrl-C."""

import asyncio
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from services.cli.addresses import urls
from services.cli.demonstration.learning import LearningStory
from services.cli.demonstration.place import Addresses, Place
from services.cli.demonstration.screen import Screen
from services.cli.demonstration.story import Story
from services.cli.log_view import show_own_events
from services.cli.simulation import catalogue, shop
from services.cli.simulation.catalogue import Catalogue
from services.cli.up import local_stack
from shared.errors import ConfigurationError
from shared.infrastructure import running
from shared.infrastructure.stack import CORE, LEARNING, Stack
from shared.settings import Settings

app = typer.Typer()

WATCH_SECONDS = 0.3
HINTS = (
    'headrace search "velvet settee"',
    "headrace simulate --live --sessions 50",
    'headrace judgements show "QUERY"',
    "headrace alerts tail",
    "curl -s {search}/search -H 'content-type: application/json' -d '{{\"text\": \"waterproof jacket\"}}'",
    "open {search}/docs in a browser",
)
LEARNED_HINTS = (
    "headrace models list",
    "headrace train --jobs",
    "headrace rollout status",
    "headrace rollout rollback",
    "headrace evaluate --data DIR",
)


@app.command()
def demo(
    exit_: Annotated[bool, typer.Option("--exit", help="End after the last scene; 1 if one failed.")] = False,
    data: Annotated[
        Path | None,
        typer.Option(help="Directory with docs.jsonl.gz, queries.tsv, qrels.tsv; absent: the sample shop."),
    ] = None,
    external: Annotated[
        bool, typer.Option("--external", help="Play on what already runs (settings, or `headrace up`).")
    ] = False,
    products: Annotated[int, typer.Option(help="Size of the sample shop.", min=200)] = 3000,
    learn: Annotated[
        bool, typer.Option("--learn", help="Show the learning loop instead: shoppers teach a new model.")
    ] = False,
) -> None:
    """See the whole loop at work: catalogue, search, shoppers, judgements, canaries, alerts."""
    goods = catalogue.load(data) if data else shop.sample(size=products)
    screen = Screen(Console(highlight=False))
    play = Play(goods, screen, learn=learn)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if external:
            _play_on(_addresses(), play, None)
        else:
            _play_here(play, stay=not exit_)
    except KeyboardInterrupt:
        screen.say("stopped")
    if screen.failures:
        raise typer.Exit(1)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _addresses() -> Addresses:
    """Return what the settings point at, or else what `headrace up` runs here."""
    settings = running.discover(Settings.load())
    return Addresses(settings, urls(settings))


@dataclass(frozen=True)
class Play:
    """Which story is told, of which shop, on which screen."""

    goods: Catalogue
    screen: Screen
    learn: bool

    @property
    def workers(self) -> tuple[str, ...]:
        """Those that the story needs."""
        return (*CORE, *LEARNING) if self.learn else CORE

    async def tell(self, place: Place, stack: Stack | None) -> None:
        """Play the scenes."""
        story = Story(place, self.screen, self.goods, stack.not_ready if stack else dict)
        if self.learn and await story.opened():
            await LearningStory(place, self.screen, self.goods).play()
        elif not self.learn:
            await story.play()


def _play_here(play: Play, *, stay: bool) -> None:
    """Start an installation, play on it, and leave it running for the audience."""
    screen = play.screen
    settings = Settings.load()
    directory = _fresh_directory(settings)
    show_own_events(_to_file(directory / "logs" / "demo.log"))
    stack = local_stack(settings.model_copy(update={"data_dir": directory}), play.workers)
    screen.scene(
        "Start", f"A broker, Redis, the topics and {len(play.workers)} workers, each a process of its own."
    )
    began = time.monotonic()
    try:
        with screen.console.status("starting broker, Redis, topics, workers"):
            stack.start()
        _announce(directory, settings.data_dir)
        screen.claim(f"broker, Redis and topics are there after {time.monotonic() - began:.1f} s", holds=True)
        addresses = Addresses(stack.settings, {name: stack.url(name) for name in stack.ports})
        _play_on(addresses, play, stack)
        if stay:
            screen.say(f"logs: {stack.logs()}")
            screen.console.rule("running until Ctrl-C")
            _tend(stack)
    finally:
        screen.say("stopping")
        running.forget(settings.data_dir)
        stack.stop()


def _play_on(addresses: Addresses, play: Play, stack: Stack | None) -> None:
    began = time.monotonic()
    asyncio.run(_tell(addresses, play, stack))
    play.screen.figure("the whole story", f"{time.monotonic() - began:.0f} s")
    play.screen.close(LEARNED_HINTS if play.learn else HINTS, addresses.urls)


async def _tell(addresses: Addresses, play: Play, stack: Stack | None) -> None:
    async with Place(addresses) as place:
        tasks = [asyncio.create_task(play.tell(place, stack))]
        if stack:
            tasks.append(asyncio.create_task(_supervise(stack)))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.result() if task.done() else task.cancel()


async def _supervise(stack: Stack) -> None:
    while True:
        stack.tend()  # blocks for a moment only, and must run on the main thread: see Stack
        await asyncio.sleep(WATCH_SECONDS)


def _tend(stack: Stack) -> None:
    while True:
        stack.tend()
        time.sleep(WATCH_SECONDS)


def _fresh_directory(settings: Settings) -> Path:
    """Return the demo's own directory, empty: it tells the same story the tenth time as the first."""
    directory = settings.data_dir / "demo"
    for place in (settings.data_dir, directory):
        if there := running.read(place):
            raise ConfigurationError(
                f"an installation runs on {place} (process {there.pid}): stop it, or give --external"
            )
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    return directory


def _announce(directory: Path, data_dir: Path) -> None:
    """Let other commands find the demo's installation where they look for `headrace up`."""
    if here := running.read(directory):
        here.write(data_dir)


def _to_file(file: Path) -> Callable[[str], None]:
    file.parent.mkdir(parents=True, exist_ok=True)

    def write(line: str) -> None:
        with file.open("a", encoding="utf-8") as log:
            log.write(line + "\n")

    return write
