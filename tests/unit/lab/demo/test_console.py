"""The demo's console: scenes are counted, claims that do not hold are remembered, figures are summed up."""

import io
import json
import shlex
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.progress import Progress

from services.lab.demo import hints, idle
from services.lab.demo.client import until
from services.lab.demo.console import DemoConsole, table
from services.lab.demo.idle import JUDGING, wait_until_idle
from services.lab.demo.run import DemoRun, fresh_directory
from services.lab.demo.script import _score
from services.lab.simulation import shop
from shared.errors import ConfigurationError, TransientError
from shared.infrastructure.workers import CORE, LEARNING
from shared.settings import Settings

URLS = {"search": "http://127.0.0.1:8800", "monitor": "http://127.0.0.1:8860"}


@pytest.fixture
def console() -> DemoConsole:
    return DemoConsole(Console(file=io.StringIO(), width=80, no_color=True))


def text(console: DemoConsole) -> str:
    return console.rich.file.getvalue()  # type: ignore[attr-defined]  it is a StringIO


def test_scenes_are_numbered(console: DemoConsole) -> None:
    console.scene("Search", "what is shown")
    console.scene("Prices", "and then")
    assert "1  Search" in text(console)
    assert "2  Prices" in text(console)


def test_a_claim_that_does_not_hold_is_remembered(console: DemoConsole) -> None:
    console.claim("it is fast", holds=True)
    console.claim("it is free", holds=False)
    assert console.failures == ["it is free"]
    assert "✓ it is fast" in text(console)
    assert "✗ not shown: it is free" in text(console)


def test_the_closing_sums_up_figures_failures_and_what_to_try(console: DemoConsole) -> None:
    console.figure("search", "12 ms a query")
    console.claim("it is free", holds=False)
    console.close(hints.usual("it's [bold]red[/bold]", URLS["search"]), URLS)
    shown = text(console)
    assert "12 ms a query" in shown
    assert "every scene showed what it says (1 did not)" in shown
    assert "monitor     http://127.0.0.1:8860" in shown
    [curl] = [line for line in shown.splitlines() if line.startswith("  curl")]
    assert json.loads(shlex.split(curl)[-1]) == {"text": "it's [bold]red[/bold]", "log": False}
    [search] = [line for line in shown.splitlines() if line.startswith("  headrace search")]
    assert shlex.split(search) == ["headrace", "search", "it's [bold]red[/bold]"]


def test_the_closing_of_a_demo_that_showed_everything_holds(console: DemoConsole) -> None:
    console.close(hints.learned(may_go_back=True), URLS)
    assert console.failures == []


@given(st.text(max_size=200), st.integers(0, 120))
def test_a_text_is_cut_to_the_room_that_there_is(long: str, beside: int) -> None:
    cut = DemoConsole(Console(file=io.StringIO(), width=80)).cut(long, beside=beside)
    assert len(cut) <= max(12, min(64, 80 - beside))
    assert cut == long or cut.endswith("…")


def test_numbers_of_a_table_are_set_right_and_readable(console: DemoConsole) -> None:
    console.table(("product", "shown", "rate"), [("lamp", 12_345, 0.5), ("sofa", 7, 1.25)], title="judged")
    lines = text(console).splitlines()
    assert lines[0].strip() == "judged"
    assert lines[2].split() == ["lamp", "12,345", "0.50"]
    assert lines[3].index("7") > lines[2].index("1"), "right"
    assert len(table(("a",), []).rows) == 0


@pytest.mark.parametrize(("score", "shown"), [(0.512, "0.51"), (0.0, "0.00"), (None, "-")])
def test_a_score_that_a_hit_has_not_is_a_dash(score, shown) -> None:
    assert _score(score) == shown


async def test_what_is_busy_is_asked_again() -> None:
    asked = iter([TransientError("busy"), None, "done"])

    async def probe() -> str | None:
        answer = next(asked)
        if isinstance(answer, Exception):
            raise answer
        return answer

    answer, waited = await until(probe, within=timedelta(seconds=10))
    assert answer == "done"
    assert timedelta() <= waited < timedelta(seconds=10)


async def test_what_never_comes_is_given_up() -> None:
    async def never() -> None:
        return None

    answer, waited = await until(never, within=timedelta(milliseconds=50))
    assert answer is None
    assert waited >= timedelta(milliseconds=50)


async def test_an_error_that_is_not_of_the_moment_is_raised() -> None:
    async def wrong() -> None:
        raise ConfigurationError("no such address")

    with pytest.raises(ConfigurationError):
        await until(wrong, within=timedelta(seconds=1))


class Worker:
    """A worker that works off a backlog, one a look, and publishes as much."""

    def __init__(self, backlog: int) -> None:
        self.backlog, self.published = backlog, 0

    def count(self) -> int:
        if self.backlog:
            self.backlog -= 1
            self.published += 1
        return self.published

    async def metric(self, worker: str, series: str) -> float:
        assert (worker, series) == JUDGING
        return self.backlog


@pytest.fixture
def hasty(monkeypatch) -> None:
    monkeypatch.setattr(idle, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(idle, "QUIET", timedelta(milliseconds=20))
    monkeypatch.setattr(idle, "FIRST_WITHIN", timedelta(milliseconds=50))
    monkeypatch.setattr(idle, "IDLE_WITHIN", timedelta(seconds=20))


async def test_a_worker_is_idle_when_its_backlog_is_empty_and_nothing_grows(hasty) -> None:
    worker, bars = Worker(7), Progress(disable=True)
    await wait_until_idle(worker, worker.count, JUDGING, bars, title="judgements")  # type: ignore[arg-type]
    assert (worker.backlog, worker.published) == (0, 7)
    assert bars.tasks[0].completed == 7


async def test_a_worker_that_publishes_nothing_is_an_error(hasty) -> None:
    worker = Worker(0)
    with pytest.raises(TransientError, match="judgements published nothing"):
        await wait_until_idle(worker, worker.count, JUDGING, Progress(disable=True), title="j")  # type: ignore[arg-type]


async def test_a_worker_that_is_never_done_is_an_error(hasty, monkeypatch) -> None:
    monkeypatch.setattr(idle, "IDLE_WITHIN", timedelta(milliseconds=50))
    monkeypatch.setattr(idle, "QUIET", timedelta(seconds=20))  # a slow machine is no quiet worker
    worker = Worker(10**9)
    with pytest.raises(TransientError, match="judgements is still at it"):
        await wait_until_idle(worker, worker.count, JUDGING, Progress(disable=True), title="j")  # type: ignore[arg-type]


def test_the_learning_script_needs_the_learning_workers(console: DemoConsole) -> None:
    sale = shop.sample(size=200, queries=5)
    assert DemoRun(sale, console, learn=False).workers == CORE
    assert DemoRun(sale, console, learn=True).workers == (*CORE, *LEARNING)


def test_the_demo_has_an_empty_directory_of_its_own_every_time(tmp_path) -> None:
    settings = Settings(data_dir=tmp_path)
    directory = fresh_directory(settings)
    (directory / "left").write_text("over")
    (tmp_path / "kept").write_text("of headrace up")
    assert fresh_directory(settings) == directory == tmp_path / "demo"
    assert list(directory.iterdir()) == []
    assert (tmp_path / "kept").exists()


@pytest.mark.parametrize("place", ["", "demo"])
def test_the_demo_does_not_take_the_place_of_what_runs(tmp_path, running_at, place) -> None:
    (tmp_path / place).mkdir(exist_ok=True)
    running_at(tmp_path / place)
    with pytest.raises(ConfigurationError, match="stop it, or give --external"):
        fresh_directory(Settings(data_dir=tmp_path))
