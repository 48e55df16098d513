"""Workers that a command needs: whether one is there, and in which words one is missed."""

import httpx

from services.lab import addresses
from shared import extras
from shared.errors import TransientError
from shared.patience import ANSWER_SECONDS
from shared.settings import Settings


def no_worker(kind: str, address: str, reason: object = "") -> TransientError:
    """Return the error for a worker that does not answer."""
    why = f" ({reason})" if reason else ""
    return TransientError(
        f"no {kind} worker answers at {address}{why}",
        cause="worker.away",
        fix=f"start one (`headrace up`, or `headrace worker {kind}`){_needs(kind)}",
    )


def _needs(kind: str) -> str:
    """Return what this installation lacks to start one; nothing when it could."""
    if kind != "trainer" or extras.is_installed(*extras.TORCH):
        return ""
    return f"; {extras.missing('here it', extras.TORCH[0])}"


async def missing(kind: str, settings: Settings) -> TransientError | None:
    """Return the error when nobody answers where the worker of that kind listens; None: it is there."""
    address = addresses.url(kind, settings)
    try:
        async with httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False) as client:
            await client.get(f"{address}/livez")
    except httpx.HTTPError as error:
        return no_worker(kind, address, type(error).__name__)
    return None
