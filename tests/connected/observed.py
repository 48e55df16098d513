"""Two producers at work and a reader before it while something goes wrong, and a proof afterwards."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from shared.infrastructure.stack import Stack
from tests.connected.background import repeated
from tests.connected.checker import Checker
from tests.connected.priced import differences
from tests.connected.producers import Producers
from tests.connected.reader import Reader

WRITE_EVERY, READ_EVERY = 0.4, 0.5


class ObservedTraffic:
    """Writes products and reads them from outside; every choice is of `seed`.

    `address` is where the producers connect, unless it is where the installation does.
    """

    def __init__(self, stack: Stack, *, products: int, seed: int, address: str = "") -> None:
        self.checker = Checker()
        self.proofs: list[Sequence[str]] = []
        """The differences that each of them found."""
        self._stack = stack
        self._seed = seed
        self._producers = Producers(
            stack, self.checker, products=products, seed=seed, address=address or stack.broker.address
        )
        self._reader = Reader(stack, self.checker, products=products, seed=seed)

    def write_each(self) -> None:
        """Write every product once."""
        self._producers.write_each()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write until the block ends; whatever was held up on its way is written then."""
        with repeated(self._producers.burst, every=WRITE_EVERY):
            yield
        self._producers.finish()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read until the block ends."""
        with repeated(self._reader.read, every=READ_EVERY):
            yield

    def prove(self) -> None:
        """Compare the index with the topics, and what is served with what was written."""
        verified = differences(self._stack)
        self.proofs.append([*verified, *self.checker.settle(self._reader.dump())])

    @property
    def sent(self) -> Counter[str]:
        """Messages, and those of aborted transactions."""
        return self._producers.sent

    @property
    def reads(self) -> Counter[str]:
        """Reads by what became of them: whole, partial, refused."""
        return self._reader.reads

    def assert_clean(self) -> None:
        """Fail with what was seen that must not be."""
        seen = [f"{kind}: {what}" for kind, of in self.checker.findings.items() for what in of]
        seen += [f"difference: {what}" for proof in self.proofs for what in proof]
        assert not seen, "\n".join([f"{len(seen)} findings, seed {self._seed}", *seen[:40]])
        assert self.reads["whole"]
