import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest

from shared.encoder.batcher import CoalescingEncoder
from shared.errors import FatalError, TransientError
from shared.ports import Vectors
from shared.testing.encoder import FakeEncoder


class GatedEncoder(FakeEncoder):
    """Waits for `gate` in each call, as a slow model would."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.entered = threading.Event()

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        self.entered.set()
        assert self.gate.wait(10)
        if "broken" in texts:
            raise FatalError("broken")
        return super().encode_documents(texts)


@pytest.fixture
def gated() -> GatedEncoder:
    return GatedEncoder()


@pytest.fixture
async def front(gated: GatedEncoder) -> AsyncIterator[CoalescingEncoder]:
    front = CoalescingEncoder(gated, texts_a_call=8, waiting_texts=20)
    await front.start()
    yield front
    gated.gate.set()
    await front.stop()


async def entered(gated: GatedEncoder) -> None:
    assert await asyncio.to_thread(gated.entered.wait, 10)


async def test_rows_come_back_in_the_order_of_the_texts(
    front: CoalescingEncoder, gated: GatedEncoder
) -> None:
    gated.gate.set()
    texts = [f"text {'x ' * (number % 7)}{number}" for number in range(30)]
    rows = await front.encode_documents(texts)
    np.testing.assert_array_equal(rows, FakeEncoder().encode_documents(texts))
    assert max(gated.calls) <= 8


async def test_waiting_callers_go_in_together(front: CoalescingEncoder, gated: GatedEncoder) -> None:
    first = asyncio.create_task(front.encode_query("first"))
    await entered(gated)
    others = [asyncio.create_task(front.encode_query(f"query {number}")) for number in range(6)]
    await asyncio.sleep(0)
    gated.gate.set()
    await asyncio.gather(first, *others)
    assert gated.calls == [1, 6]


async def test_the_event_loop_runs_while_the_model_does(
    front: CoalescingEncoder, gated: GatedEncoder
) -> None:
    running = asyncio.create_task(front.encode_query("a"))
    await entered(gated)
    for _ in range(100):
        await asyncio.sleep(0)
    assert not running.done()
    gated.gate.set()
    await running


async def test_a_small_caller_does_not_wait_for_a_large_one(
    front: CoalescingEncoder, gated: GatedEncoder
) -> None:
    large = asyncio.create_task(front.encode_documents([f"a {number}" for number in range(19)]))
    await entered(gated)
    small = asyncio.create_task(front.encode_documents(["b"]))
    await asyncio.sleep(0)
    gated.gate.set()
    await small
    assert not large.done()
    await large


async def test_documents_wait_for_room_and_queries_are_refused(
    front: CoalescingEncoder, gated: GatedEncoder
) -> None:
    large = asyncio.create_task(front.encode_documents([str(number) for number in range(25)]))
    await entered(gated)
    waiting = asyncio.create_task(front.encode_documents(["later"]))
    queries = [asyncio.create_task(front.encode_query(str(number))) for number in range(20)]
    await asyncio.sleep(0)
    with pytest.raises(TransientError, match="too many queries"):
        await front.encode_query("one more")
    assert not waiting.done()
    gated.gate.set()
    await asyncio.gather(large, waiting, *queries)


async def test_a_failure_reaches_its_callers_and_the_next_one_is_served(
    front: CoalescingEncoder, gated: GatedEncoder
) -> None:
    gated.gate.set()
    with pytest.raises(FatalError, match="broken"):
        await front.encode_documents(["broken"])
    assert (await front.encode_documents(["fine"])).shape == (1, 32)


async def test_a_cancelled_caller_costs_nothing_more(front: CoalescingEncoder, gated: GatedEncoder) -> None:
    first = asyncio.create_task(front.encode_query("first"))
    await entered(gated)
    gone = asyncio.create_task(front.encode_documents(["gone"]))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    gated.gate.set()
    await first
    assert (await front.encode_documents(["next"])).shape == (1, 32)
    assert gated.embedded == 2


async def test_callers_are_told_when_it_stops(gated: GatedEncoder) -> None:
    front = CoalescingEncoder(gated)
    await front.start()
    first = asyncio.create_task(front.encode_query("first"))
    await entered(gated)
    waiting = asyncio.create_task(front.encode_query("second"))
    await asyncio.sleep(0)
    await front.stop()
    gated.gate.set()
    with pytest.raises(TransientError, match="stopped"):
        await waiting
    with pytest.raises(TransientError, match="stopped"):
        await first
