import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest

from shared.arrays import Vectors
from shared.encoder.batcher import CoalescingEncoder, EncoderThreads
from shared.errors import FatalError, TransientError
from shared.testing.encoder import FakeEncoder


class GatedEncoder(FakeEncoder):
    """Waits for `gate` in each call, as a slow model would."""

    pass_tokens = 4  # 16 characters

    def __init__(self, threads: int = 1) -> None:
        super().__init__()
        self.threads = threads
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)
        self.seen: list[Sequence[str]] = []

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        self.seen.append(texts)
        self.entered.release()
        assert self.gate.wait(10)
        if "broken" in texts:
            raise FatalError("broken")
        return super().encode_documents(texts)


@pytest.fixture
def gated() -> GatedEncoder:
    return GatedEncoder()


@pytest.fixture
async def front(gated: GatedEncoder) -> AsyncIterator[CoalescingEncoder]:
    front = CoalescingEncoder(gated, waiting_texts=20)
    await front.start()
    yield front
    gated.gate.set()
    await front.stop()


async def entered(gated: GatedEncoder) -> None:
    assert await asyncio.to_thread(gated.entered.acquire, timeout=10)


async def test_rows_come_back_in_the_order_of_the_texts(
    front: CoalescingEncoder, gated: GatedEncoder
) -> None:
    gated.gate.set()
    texts = ["x " * (number % 7) + str(number) for number in range(30)]
    rows = await front.encode_documents(texts)
    np.testing.assert_array_equal(rows, FakeEncoder().encode_documents(texts))


async def test_a_pass_is_padded_little_and_stays_within_the_budget(
    front: CoalescingEncoder, gated: GatedEncoder
) -> None:
    gated.gate.set()
    await front.encode_documents(["1", "333", "88888888", "22", "4444", "999999999999999999"])
    assert gated.seen == [["999999999999999999"], ["88888888", "4444"], ["333", "22", "1"]]


async def test_two_cores_share_what_there_is() -> None:
    gated = GatedEncoder(threads=2)
    front = CoalescingEncoder(gated)
    await front.start()
    asked = asyncio.create_task(front.encode_documents([*"abcdefghijklmnopqr"]))
    await entered(gated)
    await entered(gated)  # at the same time: the gate is shut
    assert sorted(gated.seen) == [[*"abcdefghi"], [*"jklmnopqr"]]
    gated.gate.set()
    assert len(await asked) == 18
    await front.stop()


async def test_waiting_callers_go_in_together(front: CoalescingEncoder, gated: GatedEncoder) -> None:
    first = asyncio.create_task(front.encode_query("first"))
    await entered(gated)
    others = [asyncio.create_task(front.encode_query(str(number))) for number in range(6)]
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
    await asyncio.gather(large, small)
    assert "b" in gated.seen[1]


async def test_a_large_caller_who_has_waited_goes_before_newer_small_ones(gated: GatedEncoder) -> None:
    now = 0.0
    front = CoalescingEncoder(gated, clock=lambda: now)
    await front.start()
    first = asyncio.create_task(front.encode_documents(["first"]))
    await entered(gated)
    large = asyncio.create_task(front.encode_documents([f"large {number}" for number in range(9)]))
    await asyncio.sleep(0)
    now = 60.0
    small = asyncio.create_task(front.encode_documents(["small"]))
    await asyncio.sleep(0)
    gated.gate.set()
    await asyncio.gather(first, large, small)
    assert "small" in gated.seen[-1]
    await front.stop()


async def test_documents_wait_for_room_and_queries_are_refused(
    front: CoalescingEncoder, gated: GatedEncoder
) -> None:
    large = asyncio.create_task(front.encode_documents([str(number) for number in range(25)]))
    await entered(gated)
    waiting = asyncio.create_task(front.encode_documents(["later"]))
    await asyncio.sleep(0)
    with pytest.raises(TransientError, match="too many queries"):
        await front.encode_query("one more")
    assert not waiting.done()
    gated.gate.set()
    await asyncio.gather(large, waiting)


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
    stopping = asyncio.create_task(front.stop())
    for caller in (first, waiting):
        with pytest.raises(TransientError, match="stopped"):
            await caller
    gated.gate.set()
    await stopping
    with pytest.raises(TransientError, match="stopped"):
        await front.encode_query("third")


async def test_what_is_asked_in_the_background_leaves_a_core_to_the_others_and_goes_after_them() -> None:
    passes, live, candidate = EncoderThreads(), GatedEncoder(threads=2), GatedEncoder(threads=2)
    fronts = [CoalescingEncoder(each, passes=passes) for each in (live, candidate)]
    fronts[1].background = True
    for front in fronts:
        await front.start()
    backfill = asyncio.create_task(fronts[1].encode_documents([*"abcdefghijklmnopqrstuvwxyz"]))
    await entered(candidate)
    assert not candidate.entered.acquire(blocking=False)
    changes = [asyncio.create_task(fronts[0].encode_documents([text])) for text in ("change", "another")]
    await entered(live)  # at the same time: the gate is shut
    live.gate.set()
    await asyncio.gather(*changes)
    assert not backfill.done()
    candidate.gate.set()
    assert len(await backfill) == 26
    for front in fronts:
        await front.stop()
    await passes.stop()


@pytest.mark.parametrize("threads", [1, 2])
async def test_a_background_pass_is_small(threads: int) -> None:
    passes, gated = EncoderThreads(), GatedEncoder(threads)
    front = CoalescingEncoder(gated, passes=passes)
    front.background = True
    await front.start()
    gated.gate.set()
    await front.encode_documents(["22", "22", "22", "22", "22"])
    assert [len(texts) for texts in gated.seen] == [2, 2, 1]  # of 8 texts that fit
    await front.stop()
    await passes.stop()


async def test_a_change_of_a_new_generation_waits_for_one_small_pass_of_its_backfill_alone(
    gated: GatedEncoder,
) -> None:
    passes = EncoderThreads()
    front = CoalescingEncoder(gated, passes=passes)
    front.background = True
    await front.start()
    backfill = asyncio.create_task(front.encode_documents(["22"] * 12, replayed=True))
    await entered(gated)
    change = asyncio.create_task(front.encode_documents(["change"]))
    await asyncio.sleep(0)
    gated.gate.set()
    await asyncio.gather(backfill, change)
    assert gated.seen[:2] == [["22", "22"], ["change"]]
    await front.stop()
    await passes.stop()


async def test_a_backfill_is_not_starved_by_changes_that_keep_every_core_busy(gated: GatedEncoder) -> None:
    now, passes = 0.0, EncoderThreads()
    live, candidate = (CoalescingEncoder(gated, passes=passes, clock=lambda: now) for _ in range(2))
    candidate.background = True
    await live.start()
    first = asyncio.create_task(live.encode_documents(["first"]))
    await entered(gated)
    backfill = asyncio.create_task(candidate.encode_documents(["backfill"], replayed=True))
    await asyncio.sleep(0)
    changes = []
    for second in (1, 3):  # that it waits
        now = float(second)
        changes.append(asyncio.create_task(live.encode_documents([f"after {second} s"])))
        await asyncio.sleep(0)
    gated.gate.set()
    await asyncio.gather(first, backfill, *changes)
    assert gated.seen == [["first"], ["after 1 s"], ["backfill"], ["after 3 s"]]
    for front in (live, candidate):
        await front.stop()
    await passes.stop()
