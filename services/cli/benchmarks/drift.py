"""`headrace bench drift`: are the stated false alarms kept, how soon is drift seen, is a bug told from it.

Both cores watch shops that do nothing but fluctuate and count their alarms; then the same shops, from the
memory they had, are broken in several ways.
"""

import multiprocessing
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from datetime import timedelta
from statistics import median

import numpy as np
from rich.progress import Progress

from services.cli.benchmarks.drifting_shop import GENERATION, SCENARIOS, WEEK, Scenario, Shop, World, build
from services.cli.report import Row
from services.cli.simulation.catalogue import Catalogue
from services.monitor.domain.drift.cause import Change
from services.monitor.domain.drift.detector import Frame
from services.monitor.domain.drift.panel import Alarm
from services.monitor.domain.drift.signals import SHOP_SIGNALS, SIGNALS
from services.monitor.domain.drift.watch import Rule, Watch
from shared import encoder
from shared.settings import ModelSettings

WARM_WEEKS = 16
"""Windows before any are counted: every signal speaks, and its reference is as long as it gets."""
PATIENCE = 28 * 24
"""Windows after which a drift counts as missed."""
REPEATS = 5
DEPLOYMENTS_EVERY = 48.0
"""Windows between two deployments that break nothing, on average."""
FIRST = 2856 * WEEK
"""The number of the first window: some Thursday."""
LATER = 168
"""Windows after the first alarm at which the cause is judged once more."""
UNTOUCHED = {*SHOP_SIGNALS, "ann-recall", "canary-recall"} - {"new-terms"}
"""Signals on which a change of what is asked or sold has no effect in these shops."""
DEPLOYED = "search was deployed"


@dataclass(frozen=True, slots=True)
class Delay:
    """How one injected drift was found; no alarm: it was not."""

    scenario: Scenario
    windows: int = 0
    queries: int = 0
    alarm: Alarm | None = None
    at_first: str = ""
    """What it was taken for when the first alarm began."""
    later: str = ""
    """What most of the open alarms took it for `LATER` windows after that."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What one shop gave."""

    alarms: Mapping[str, int]
    windows: int
    delays: Sequence[Delay] = ()


@dataclass
class _Ground:
    """What every process of the pool has once."""

    world: World | None = None
    rule: Rule = field(default_factory=Rule)


_ground = _Ground()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How many stationary days, and what is stated: a false alarm `every` so often."""

    days: int
    every: timedelta
    seed: int


def measure(catalogue: Catalogue, model: ModelSettings, asked: Asked, *, progress: Progress) -> list[Row]:
    """Return the rows of the stationary days, spread over several shops, and of every scenario."""
    days, seed = asked.days, asked.seed
    bar = progress.add_task("queries and products, embedded", total=1)
    world = build(catalogue, encoder.load(model).encode_documents, seed=seed)
    progress.advance(bar)
    shops = max(2, round(days / 365))
    rule = Rule(false_alarm_every=asked.every)
    bar = progress.add_task("shops, watched for a year, then broken", total=shops)
    found = []
    spawn = multiprocessing.get_context("spawn")  # the model has threads: no fork
    with ProcessPoolExecutor(cores(), mp_context=spawn, initializer=_take, initargs=(world, rule)) as pool:
        windows = days * 24 // shops
        for done in as_completed(
            pool.submit(_watched, seed * 1000 + shop, windows, broken=shop < REPEATS) for shop in range(shops)
        ):
            found.append(done.result())
            progress.advance(bar)
    return [*false_alarms(found, rule), *delays([each for one in found for each in one.delays])]


def cores() -> int:
    """Return how many processes may run at once."""
    return max(1, multiprocessing.cpu_count())


def _take(world: World, rule: Rule) -> None:
    _ground.world, _ground.rule = world, rule


def _watched(seed: int, windows: int, *, broken: bool) -> Watched:
    """Watch one shop: warm up, count alarms, then break it in every way."""
    if _ground.world is None:
        raise RuntimeError("the process has no world")
    shop, watch = Shop(_ground.world, seed), Watch(_ground.rule, Frame(seed=seed))
    rng = np.random.default_rng(seed)
    alarms = Counter[str]()
    number = first = FIRST
    for number in range(first, first + WARM_WEEKS * WEEK + windows):
        tally, _ = shop.tally(number)
        watch.changed(_deployments(_ground.rule, number, rng))
        news = watch.close(number, {GENERATION: tally})
        if number >= first + WARM_WEEKS * WEEK:
            alarms.update(each.alarm.signal for each in news)
    memory = watch.dump()
    found = [_delay(memory, shop, number + 1, scenario, rng) for scenario in SCENARIOS if broken]
    return Watched(alarms, windows, found)


def _delay(
    memory: Mapping[str, bytes], shop: Shop, first: int, scenario: Scenario, rng: np.random.Generator
) -> Delay:
    """Break a shop from window `first` on, and wait for the first alarm."""
    watch = Watch(_ground.rule, Frame())
    watch.load(memory)
    queries, found = 0, Delay(scenario)
    for number in range(first, first + PATIENCE):
        deployed = scenario.deployed and number == first
        watch.changed(_deployments(_ground.rule, number, rng, surely=deployed))
        tally, count = shop.tally(number, scenario, min(1.0, (number - first + 1) / scenario.ramp))
        queries += count
        news = {each.alarm.signal for each in watch.close(number, {GENERATION: tally})}
        open_ = [alarm for panel in watch.panels.values() for alarm in panel.alarms.values()]
        alarm = next((each for each in open_ if each.signal in news and touched(scenario, each.signal)), None)
        if found.alarm is None and alarm is not None:
            found = Delay(scenario, number - first + 1, queries, alarm, alarm.verdict.cause)
        if found.alarm is not None and number - found.alarm.window >= LATER:
            return replace(found, later=_most(watch, scenario) or found.at_first)
    return found


def touched(scenario: Scenario, signal: str) -> bool:
    """Return whether a scenario has an effect on a signal; an alarm of another one is a false one."""
    return scenario.kind == "bug" or signal not in UNTOUCHED


def _most(watch: Watch, scenario: Scenario) -> str:
    """Return what most open alarms take it for; a cause that is known counts before unknown."""
    causes = Counter(
        alarm.verdict.cause
        for panel in watch.panels.values()
        for alarm in panel.alarms.values()
        if touched(scenario, alarm.signal)
    )
    return max(causes, key=lambda cause: (cause != "unknown", causes[cause]), default="")


def _deployments(rule: Rule, number: int, rng: np.random.Generator, *, surely: bool = False) -> list[Change]:
    """Return a deployment now and then: they happen, and mostly break nothing."""
    happened = rng.random() < 1 / DEPLOYMENTS_EVERY or surely
    return [Change(at=rule.at(number).start, what=DEPLOYED)] if happened else []


def false_alarms(found: Sequence[Watched], rule: Rule) -> list[Row]:
    """Return realised against stated false alarms: of the whole monitor, then of each signal."""
    windows = sum(one.windows for one in found)
    counts = sum((Counter(one.alarms) for one in found), Counter[str]())
    total, stated = counts.total(), windows / rule.windows
    low, high = poisson_interval(total)
    interval = f"95 % of the ratio: {low / stated:.2f} to {high / stated:.2f}"
    note = f"of {stated:.0f} stated in {windows / 24:,.0f} days; {interval}"
    rows = [Row("false alarms", total, "alarms", stated, note)]
    for signal in SIGNALS:
        count = counts[signal]
        share = stated / len(SIGNALS)
        low, high = poisson_interval(count)
        rows.append(
            Row(f"false alarms, {signal}", count, "alarms", share, f"{low / share:.2f} to {high / share:.2f}")
        )
    return rows


def delays(found: Sequence[Delay]) -> list[Row]:
    """Return how soon each scenario was found, and what it was taken for."""
    return [*_delays(found), *_told(found)]


def _delays(found: Sequence[Delay]) -> Iterator[Row]:
    for scenario in SCENARIOS:
        runs = [each for each in found if each.scenario.name == scenario.name]
        seen = [each for each in runs if each.alarm is not None]
        if not runs:
            continue
        first = Counter(each.alarm.signal for each in seen if each.alarm is not None)
        terms = Counter(term for each in seen if each.alarm for term in each.alarm.evidence.get("terms", ()))
        note = "first by " + ", ".join(f"{name} {count}" for name, count in first.most_common(3))
        if terms:
            note += "; terms: " + ", ".join(term for term, _ in terms.most_common(3))
        yield Row(f"found, {scenario.name}", len(seen), "runs", len(runs), note)
        if seen:
            yield Row(f"delay, {scenario.name}", median(each.windows or 0 for each in seen), "windows")
            queries = median(each.queries for each in seen)
            yield Row(f"delay in queries, {scenario.name}", queries, "queries")


def _told(found: Sequence[Delay]) -> Iterator[Row]:
    """Return the confusion table: a row for each (what it was, what it was taken for)."""
    for kind in ("bug", "drift", "unknown"):
        runs = [each for each in found if each.scenario.kind == kind and each.alarm is not None]
        first, later = Counter(each.at_first for each in runs), Counter(each.later for each in runs)
        for said in ("bug", "drift", "unknown"):
            note = f"by the first alarm alone: {first[said]}"
            yield Row(f"{kind} told as {said}", later[said], "runs", len(runs) or None, note)


def poisson_interval(count: int) -> tuple[float, float]:
    """Return a 95 % interval of the mean of a Poisson count, by the square root (Anscombe 1948)."""
    low = max(0.0, np.sqrt(count + 0.02) - 0.98) ** 2
    return float(low if count else 0.0), float((np.sqrt(count + 0.96) + 0.98) ** 2)
