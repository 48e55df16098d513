"""The terminal: what a shopper or a producer wrote is shown on it, and never obeyed by it.

A title may hold escape sequences that move the cursor, rename the window or turn the direction of writing,
and square brackets that Rich takes for markup.
"""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from services.lab.printable import printable


class Terminal(Console):
    """A console that prints texts as they are, of whoever they are; markup only where it is asked for."""

    def __init__(self, **options: Any) -> None:  # Any: Rich's own
        super().__init__(**{"markup": False, "emoji": False, **options})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments; what is in them of others is printable."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))
