"""One thing that the monitor watches: what it runs, how often it looks, what it answers to."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from shared.process.commands import OnCommand
from shared.process.components import Component

Tick = Callable[[int], Awaitable[None]]
"""Looks once, and writes under the leader's epoch that it is given."""
Page = Callable[[], Any]  # Any: FastAPI serialises whatever a page returns


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicWatch:
    """What the leading monitor does again and again."""

    name: str
    every: timedelta
    tick: Tick


@dataclass(frozen=True, kw_only=True)
class Feature:
    """What a feature's `wire` returns, for the application to run."""

    watches: Sequence[PeriodicWatch]
    components: Sequence[Component] = ()
    """Run by every monitor, whether it leads or not."""
    commands: Mapping[str, OnCommand] = field(default_factory=dict)
    pages: Mapping[str, Page] = field(default_factory=dict)
    """`GET` routes by path."""
