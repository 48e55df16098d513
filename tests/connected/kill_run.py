"""Kills under two producers and before a reader, with a proof of the index in between and at the end."""

from services.lab.report import BenchReport, ReportRow
from shared.infrastructure.stack import Stack
from tests.connected.killing import SupervisedKiller
from tests.connected.observed import ObservedTraffic

VICTIMS = ("embedder", "shards")
PROVEN_EVERY = 10
"""Kills of each of them."""


class KillRun:
    """One run, all of whose choices are of `seed`; what it has seen is in `report`."""

    def __init__(self, stack: Stack, *, products: int, seed: int) -> None:
        self._seed = seed
        self._traffic = ObservedTraffic(stack, products=products, seed=seed)
        self._killer = SupervisedKiller(stack, seed=seed)

    def kill(self, each: int) -> None:
        """Kill each of the victims so many times."""
        self._traffic.write_each()
        with self._traffic.reading():
            for done in range(0, each, PROVEN_EVERY):
                with self._traffic.writing():
                    self._killer.kill_each(VICTIMS, min(PROVEN_EVERY, each - done))
                self._traffic.prove()
                seen = ", ".join(f"{row.name} {row.value:.0f}" for row in self.report.rows)
                print(seen, flush=True)  # noqa: T201 - of a long run one wants to know how far it is

    @property
    def report(self) -> BenchReport:
        """What was done, and what was seen."""
        killer, traffic = self._killer, self._traffic
        figures = {
            **{f"kills of {name}": killer.kills[name] for name in VICTIMS},
            "restarts": killer.restarts.total(),
            "products": traffic.checker.products,
            "messages": traffic.sent["messages"],
            "messages of aborted transactions": traffic.sent["aborted"],
            "reads": traffic.reads.total(),
            "reads answered in part": traffic.reads["partial"],
            "reads refused": traffic.reads["refused"],
            **{kind: len(findings) for kind, findings in traffic.checker.findings.items()},
            "verify runs": len(traffic.proofs),
            "verify differences": sum(map(len, traffic.proofs)),
        }
        rows = [ReportRow(name, value) for name, value in figures.items()]
        longest = ReportRow("longest recovery", round(killer.longest.total_seconds(), 1), "s")
        return BenchReport(f"kill -9 before a reader, seed {self._seed}", [*rows, longest])

    def assert_clean(self) -> None:
        """Fail with what was seen that must not be."""
        self._traffic.assert_clean()
        assert self._killer.restarts == self._killer.kills, "a worker ended by itself"
