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
from scipy.special import gammaincinv

from services.lab.benchmarks.drifting_shop import GENERATION, SCENARIOS, WEEK, Scenario, Shop
from services.lab.benchmarks.drifting_world import World, build
from services.lab.report import ReportRow
from services.lab.simulation.catalogue import GradedCatalogue
from services.monitor.drift.domain.cause import InstallationChange
from services.monitor.drift.domain.detector_group import Alarm
from services.monitor.drift.domain.rules import DetectorRule, DriftRule
from services.monitor.drift.domain.signals import SHOP_SIGNALS, SIGNALS
from services.monitor.drift.domain.state_machine import DriftStateMachine
from shared.encoder.loading import load_encoder
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
class _PoolState:
    """What every process of the pool is given once, when it starts."""

    world: World | None = None
    rule: DriftRule = field(default_factory=DriftRule)


_pool = _PoolState()


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseAlarmPlan:
    """How many stationary days, and what is stated: a false alarm `every` so often."""

    days: int
    every: timedelta
    seed: int


def measure(
    catalogue: GradedCatalogue, model: ModelSettings, plan: FalseAlarmPlan, *, progress: Progress
) -> list[ReportRow]:
    """Return the rows of the stationary days, spread over several shops, and of every scenario."""
    days, seed = plan.days, plan.seed
    bar = progress.add_task("queries and products, embedded", total=1)
    world = build(catalogue, load_encoder(model).encode_documents, seed=seed)
    progress.advance(bar)
    shops = max(2, round(days / 365))
    rule = DriftRule(false_alarm_every=plan.every)
    bar = progress.add_task("shops, watched for a year, then broken", total=shops)
    watched = []
    spawn = multiprocessing.get_context("spawn")  # the model has threads: no fork
    with ProcessPoolExecutor(
        cores(), mp_context=spawn, initializer=_fill_pool, initargs=(world, rule)
    ) as pool:
        windows = days * 24 // shops
        for future in as_completed(
            pool.submit(_watched, seed * 1000 + shop, windows, broken=shop < REPEATS) for shop in range(shops)
        ):
            watched.append(future.result())
            progress.advance(bar)
    return [*false_alarms(watched, rule), *delays([delay for shop in watched for delay in shop.delays])]


def cores() -> int:
    """Return how many processes may run at once."""
    return max(1, multiprocessing.cpu_count())


def _fill_pool(world: World, rule: DriftRule) -> None:
    _pool.world, _pool.rule = world, rule


def _watched(seed: int, windows: int, *, broken: bool) -> Watched:
    """Watch one shop: warm up, count alarms, then break it in every way."""
    if _pool.world is None:
        raise RuntimeError("the process has no world")
    shop, watch = Shop(_pool.world, seed), DriftStateMachine(_pool.rule, DetectorRule(seed=seed))
    rng = np.random.default_rng(seed)
    alarms = Counter[str]()
    number = first = FIRST
    for number in range(first, first + WARM_WEEKS * WEEK + windows):
        tally, _ = shop.tally(number)
        watch.record_changes(_deployments(_pool.rule, number, rng))
        news = watch.close(number, {GENERATION: tally})
        if number >= first + WARM_WEEKS * WEEK:
            alarms.update(finding.alarm.signal for finding in news)
    memory = watch.dump()
    delays_found = [_delay(memory, shop, number + 1, scenario, rng) for scenario in SCENARIOS if broken]
    return Watched(alarms, windows, delays_found)


def _delay(
    memory: Mapping[str, bytes], shop: Shop, first: int, scenario: Scenario, rng: np.random.Generator
) -> Delay:
    """Break a shop from window `first` on, and wait for the first alarm."""
    watch = DriftStateMachine(_pool.rule, DetectorRule())
    watch.load(memory)
    queries, delay = 0, Delay(scenario)
    for number in range(first, first + PATIENCE):
        deployed = scenario.deployed and number == first
        watch.record_changes(_deployments(_pool.rule, number, rng, surely=deployed))
        tally, count = shop.tally(number, scenario, min(1.0, (number - first + 1) / scenario.ramp))
        queries += count
        raised = {finding.alarm.signal for finding in watch.close(number, {GENERATION: tally})}
        alarm = next((alarm for alarm in _alarms(watch, scenario) if alarm.signal in raised), None)
        if delay.alarm is None and alarm is not None:
            delay = Delay(scenario, number - first + 1, queries, alarm, alarm.verdict.cause)
        if delay.alarm is not None and number - delay.alarm.window >= LATER:
            return replace(delay, later=_commonest_cause(watch, scenario) or delay.at_first)
    return delay


def _alarms(watch: DriftStateMachine, scenario: Scenario) -> Iterator[Alarm]:
    """Yield the open alarms that the scenario can have raised."""
    for group in watch.groups.values():
        for alarm in group.alarms.values():
            if touched(scenario, alarm.signal):
                yield alarm


def touched(scenario: Scenario, signal: str) -> bool:
    """Return whether a scenario has an effect on a signal; an alarm of another one is a false one."""
    return scenario.kind == "bug" or signal not in UNTOUCHED


def _commonest_cause(watch: DriftStateMachine, scenario: Scenario) -> str:
    """Return what most open alarms take it for; a cause that is known counts before unknown."""
    causes = Counter(alarm.verdict.cause for alarm in _alarms(watch, scenario))
    return max(causes, key=lambda cause: (cause != "unknown", causes[cause]), default="")


def _deployments(
    rule: DriftRule, number: int, rng: np.random.Generator, *, surely: bool = False
) -> list[InstallationChange]:
    """Return a deployment now and then: they happen, and mostly break nothing."""
    happened = rng.random() < 1 / DEPLOYMENTS_EVERY or surely
    return [InstallationChange(at=rule.at(number).start, what=DEPLOYED)] if happened else []


def false_alarms(shops: Sequence[Watched], rule: DriftRule) -> list[ReportRow]:
    """Return realised against stated false alarms: of the whole monitor, then of each signal."""
    windows = sum(shop.windows for shop in shops)
    counts = sum((Counter(shop.alarms) for shop in shops), Counter[str]())
    total, stated = counts.total(), windows / rule.windows
    low, high = poisson_interval(total)
    interval = f"95 % of the ratio: {low / stated:.2f} to {high / stated:.2f}"
    note = f"of {stated:.0f} stated in {windows / 24:,.0f} days; {interval}"
    rows = [ReportRow("false alarms", total, "alarms", stated, note)]
    for signal in SIGNALS:
        count = counts[signal]
        share = stated / len(SIGNALS)
        low, high = poisson_interval(count)
        rows.append(
            ReportRow(
                f"false alarms, {signal}", count, "alarms", share, f"{low / share:.2f} to {high / share:.2f}"
            )
        )
    return rows


def delays(measured: Sequence[Delay]) -> list[ReportRow]:
    """Return how soon each scenario was found, and what it was taken for."""
    by_scenario = {scenario.name: [d for d in measured if d.scenario == scenario] for scenario in SCENARIOS}
    rows = [row for name, runs in by_scenario.items() if runs for row in _delay_rows(name, runs)]
    return [*rows, *_confusion(measured)]


def _delay_rows(name: str, runs: Sequence[Delay]) -> Iterator[ReportRow]:
    """Yield how many runs of one scenario were noticed, and the middle delay of those."""
    noticed = [delay for delay in runs if delay.alarm is not None]
    alarms = [delay.alarm for delay in noticed if delay.alarm is not None]
    yield ReportRow(f"found, {name}", len(noticed), "runs", len(runs), _first_signs(alarms))
    if noticed:
        yield ReportRow(f"delay, {name}", median(delay.windows for delay in noticed), "windows")
        yield ReportRow(f"delay in queries, {name}", median(delay.queries for delay in noticed), "queries")


def _first_signs(alarms: Sequence[Alarm]) -> str:
    """Return the signals that gave most of the first alarms, and the terms in their evidence."""
    signals = Counter(alarm.signal for alarm in alarms)
    terms = Counter(term for alarm in alarms for term in alarm.evidence.get("terms", ()))
    note = "first by " + ", ".join(f"{signal} {count}" for signal, count in signals.most_common(3))
    return note + ("; terms: " + ", ".join(term for term, _ in terms.most_common(3)) if terms else "")


def _confusion(measured: Sequence[Delay]) -> Iterator[ReportRow]:
    """Return the confusion table: a row for each (what it was, what it was taken for)."""
    for kind in ("bug", "drift", "unknown"):
        runs = [delay for delay in measured if delay.scenario.kind == kind and delay.alarm is not None]
        first, later = Counter(delay.at_first for delay in runs), Counter(delay.later for delay in runs)
        for cause in ("bug", "drift", "unknown"):
            note = f"by the first alarm alone: {first[cause]}"
            yield ReportRow(f"{kind} told as {cause}", later[cause], "runs", len(runs) or None, note)


def poisson_interval(count: int) -> tuple[float, float]:
    """Return the exact 95 % interval of the mean of a Poisson count (Garwood 1936)."""
    low = float(gammaincinv(count, 0.025)) if count else 0.0
    return low, float(gammaincinv(count + 1, 0.975))
