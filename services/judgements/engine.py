"""The two stages and their publisher, put together for one Redis and one bus."""

from dataclasses import dataclass

from redis.asyncio import Redis

from services.judgements.click_model import ClickModelFitter
from services.judgements.counts import WindowCounts
from services.judgements.incarnation import Incarnations
from services.judgements.join import Join
from services.judgements.outbox import Outbox
from services.judgements.outcomes import LastSequences, nothing_published
from services.judgements.publisher import JudgementPublisher, Ticker
from services.judgements.settings import Settings
from services.judgements.state import States
from services.judgements.window import OutcomeWindow
from shared.errors import FatalError
from shared.ports import Clock, Publisher


@dataclass(frozen=True)
class Engine:
    """Everything but the bus and the process around it."""

    join: Join
    window: OutcomeWindow
    counts: WindowCounts
    incarnations: Incarnations
    fitting: ClickModelFitter
    ticker: Ticker


def build_engine(
    settings: Settings,
    redis: Redis,
    *,
    publisher: Publisher,
    clock: Clock,
    published: LastSequences = nothing_published,
) -> Engine:
    """Return the stages, sharing one incarnation."""
    chosen, namespace = settings.judgements, settings.namespace
    incarnations = Incarnations(redis, namespace, clock, published=published)
    joins, windows = (
        States(redis, namespace, kind, count=settings.partitions) for kind in ("join", "window")
    )
    rules = chosen.rules()
    outbox = Outbox(redis, publisher=publisher, rules=rules)
    join = Join(redis, joins, incarnations=incarnations, outbox=outbox, rules=rules)
    window = OutcomeWindow(redis, windows, incarnations=incarnations, clock=clock, days=chosen.window_days)
    counts = WindowCounts(redis, windows, partitions=settings.partitions)
    objective = chosen.business_objective()
    fitting = ClickModelFitter(redis, window, counts, clock=clock, objective=objective)
    judgements = JudgementPublisher(redis, window, counts=counts, publisher=publisher, objective=objective)

    async def same_incarnation() -> None:
        held = join.incarnations_held | {state.incarnation for state in window.held.values()}
        for incarnation in held:
            if not await incarnations.is_current(incarnation):
                raise FatalError(
                    f"judgements are being rebuilt and incarnation {incarnation} is over: "
                    "start the worker again, and it will take part"
                )
        await incarnations.sweep()

    ticker = Ticker(window, judgements, clock=clock, checks=[same_incarnation])
    return Engine(join, window, counts, incarnations, fitting, ticker)
