"""How commands show long work."""

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class RateColumn(ProgressColumn):
    """Steps a second, of the last half minute."""

    def render(self, task: Task) -> Text:
        """Return the rate; nothing before there is one, and of what is done."""
        rate = task.speed
        return Text("" if rate is None or task.finished else f"{rate:,.0f}/s", style="dim")


class TimeLeftColumn(TimeRemainingColumn):
    """The time that is left at that rate."""

    def render(self, task: Task) -> Text:
        """Return it in words; nothing where it cannot be told."""
        left = "" if task.time_remaining is None or task.finished else super().render(task).plain
        return Text(f"{left} left" if left.strip("-: ") else "", style="dim")


def bars(console: Console) -> Progress:
    """Return progress bars on that console, which is one on standard error."""
    what = TextColumn("{task.description}", markup=False)
    columns = (what, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, RateColumn(), TimeLeftColumn(), console=console)
