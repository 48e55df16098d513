"""Negatives that shoppers act upon are told of when that lasts, and when enough were looked at to say so."""

from datetime import timedelta

import pytest

from services.monitor.negatives.domain.precision import PrecisionRule, negative_precision
from services.monitor.negatives.settings import NegativePrecisionSettings
from services.monitor.negatives.watch import NegativePrecisionWatch

KEY = "negative-precision:mined"
RULE = PrecisionRule(least=0.8, looked_at=100)


@pytest.mark.parametrize(
    ("looked_at", "acted_upon", "breached"),
    [
        (0, 0, False),
        (99, 99, False),
        (100, 20, False),
        (100, 21, True),
        (1000, 200, False),
        (1000, 201, True),
    ],
)
def test_too_many_of_enough_are_a_breach(looked_at, acted_upon, breached) -> None:
    assert negative_precision(looked_at, acted_upon, RULE).breached is breached


def test_the_figures_and_the_way_out_are_told() -> None:
    observed = negative_precision(1200, 300, RULE)
    assert (observed.key, observed.severity) == (KEY, "warning")
    assert "300 of 1,200 negatives" in observed.summary
    assert "75.0% were right, and 80% should be" in observed.summary
    assert "negatives.margin" in observed.action
    assert observed.evidence == {"looked_at": 1200, "acted_upon": 300, "precision": 0.75}


async def test_it_is_an_alert_when_it_stays_low_and_is_resolved_when_it_does_not(alerts, clock) -> None:
    counts = [200, 100]

    async def read() -> tuple[int, int]:
        return counts[0], counts[1]

    section = NegativePrecisionSettings()
    watch = NegativePrecisionWatch(section, alerts, read)

    async def passes(span: timedelta) -> None:
        for _ in range(span // section.every):
            clock.moment += section.every
            await watch.tick(1)

    await passes(timedelta(minutes=59))
    assert alerts.turns() == []
    await passes(timedelta(minutes=2))
    assert alerts.turns() == [(KEY, "firing")]
    counts[:] = 200, 10
    await passes(timedelta(minutes=62))
    assert alerts.turns() == [(KEY, "firing"), (KEY, "resolved")]
