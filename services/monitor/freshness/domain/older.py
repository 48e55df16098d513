"""Does a producer write versions that are older than what is known of its products."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from shlex import quote

from schemas.alerts import alert_key
from schemas.base import EPOCH, MILLISECOND
from services.monitor.alerts.domain.observation import Observation
from shared.catalogue.older import QUIET, OlderChanges

OLDER_CHANGES = "older-changes"
SETTLED = timedelta(seconds=30)
"""A connector that repeats what it said before ends with what is known: it is given so long."""


def older_changes(
    line: str, products: Mapping[str, OlderChanges], *, generation: str, now: datetime
) -> Observation:
    """Say of how many products, and how many times, the changes of a line were older than what is known."""
    recent = {product: changes for product, changes in products.items() if _counts(changes, now)}
    number = sum(changes.number for changes in recent.values())
    product, latest = max(
        recent.items(), key=lambda item: (item[1].moment, item[0]), default=("", OlderChanges(0, "", ""))
    )
    return Observation(
        key=alert_key(OLDER_CHANGES, f"{generation}:{line}"),
        breached=bool(recent),
        severity="warning",
        summary=(
            f"{number:,} changes of {len(recent):,} products, from {line}, were older than what is known and "
            f"changed nothing, such as product {product} at {latest.example}"
            if recent
            else f"changes from {line} are not older than what is known"
        ),
        action=(
            "look whether the source counts its versions anew (a database that was restored, a counter that "
            f"was reset): then `{_accept(line, products.values(), now)}` lets what it writes now count"
        ),
        evidence={"line": line, "changes": number, "products": len(recent), "example": latest.example},
        generation=generation,
        signature=f"{len(str(number))} {len(str(len(recent)))}",
    )


def _accept(line: str, products: Iterable[OlderChanges], now: datetime) -> str:
    """Return the command that accepts the source from the first of its changes on that was older.

    That may be one of a product that has not changed since. But what came before it was quiet for long has
    another cause, and is of before.
    """
    first = now
    for changes in sorted(products, key=lambda changes: changes.moment, reverse=True):
        if first - datetime.fromisoformat(changes.moment) > QUIET:
            break
        if changes.since:
            first = min(first, EPOCH + changes.since * MILLISECOND)
    moment = "TIME" if first == now else first.isoformat(timespec="milliseconds")
    return f"headrace catalogue accept --source {quote(line)} --from {moment}"


def _counts(changes: OlderChanges, now: datetime) -> bool:
    return SETTLED <= now - datetime.fromisoformat(changes.moment) <= QUIET
