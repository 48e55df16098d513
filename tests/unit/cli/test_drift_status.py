"""What `headrace drift status` shows."""

from rich.console import Console

from services.cli.drift import Row, Standing, table


def test_a_signal_is_learning_quiet_or_alarmed() -> None:
    rows = [
        Row(scope="shop", signal="click-rate", learned=0.25, alarmed=False, cause=None),
        Row(scope="g1", signal="nearest", learned=1, alarmed=False, cause=None),
        Row(
            scope="g1",
            signal="scores-median",
            learned=1,
            alarmed=True,
            cause="bug",
            psi=0.3104,
            psi_by_chance=0.02,
        ),
    ]
    console = Console(width=120, record=True, file=None, quiet=False)
    with console.capture() as shown:
        console.print(table(Standing(false_alarm_every=30 * 86400, judged_until="now", signals=rows)))
    lines = [" ".join(line.split()) for line in shown.get().splitlines()]
    assert "shop click-rate 25% learning" in lines
    assert "g1 nearest 100% quiet" in lines
    assert "g1 scores-median 100% 0.310 (0.020) alarmed (bug)" in lines
    assert any("one false alarm in 30 days" in line for line in lines)
