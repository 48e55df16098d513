"""`headrace negatives`: whether the mined negatives are right, by what shoppers did since."""

import asyncio
import json
from typing import Annotated

import typer

from services.negatives.domain.precision import NegativePrecision
from shared.cluster.miner import read_precision
from shared.infrastructure.running import discover
from shared.settings import Settings
from shared.state.redis import connect


def negatives(json_: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Show how many negatives shoppers have looked at enough since they were mined, and acted upon."""
    precision = asyncio.run(_read(discover(Settings.load())))
    if json_:
        print(json.dumps({**precision._asdict(), "precision": precision.share}))
    else:
        print(sentence(precision))


def sentence(precision: NegativePrecision) -> str:
    """Return the precision in words."""
    if precision.share is None:
        return "no negative has been looked at enough since it was mined"
    return (
        f"{precision.share:.1%} of the negatives are right: of {precision.looked_at:,} that shoppers have "
        f"looked at enough since they were mined, {precision.acted_upon:,} were acted upon"
    )


async def _read(settings: Settings) -> NegativePrecision:
    redis = connect(settings)
    try:
        return NegativePrecision(*await read_precision(redis, settings.namespace))
    finally:
        await redis.aclose()
