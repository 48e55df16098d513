"""What workers say they did, added up over partitions; and how a verification waits and reports."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.lab.verification import verdict
from services.lab.verification.conservation import Balance, balances, lines, read_balances
from services.lab.verification.letters import Letters
from services.lab.verification.verdict import VerificationResult, retention_gaps, settled
from shared.errors import PoisonError
from shared.infrastructure.process import free_port
from shared.records import HEAD_BYTES, Partition, Record
from shared.streaming.dead_letters import DeadLetters, headers
from shared.testing.publisher import MemoryPublisher
from tests.unit.answering import answering

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SERIES = ("consumed", "applied", "no_op", "dead_lettered", "skipped", "forwarded")
COUNTS = st.tuples(*(st.integers(0, 10**6) for _ in SERIES))


def page(partitions: dict[tuple[str, int], tuple[int, ...]]) -> str:
    """Return the `/metrics` of a worker that counted this of each partition."""
    text = []
    for index, name in enumerate(SERIES):
        text.append(f"# TYPE headrace_{name}_total counter")
        for (topic, number), counts in partitions.items():
            labels = f'topic="{topic}",partition="{number}"'
            text.append(f"headrace_{name}_total{{{labels}}} {float(counts[index])}")
    return "\n".join(text) + "\n"


@given(st.dictionaries(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 3)), COUNTS, min_size=1))
def test_counters_are_added_up_by_topic(partitions) -> None:
    found = {balance.topic: balance for balance in read_balances("w", page(partitions))}
    assert set(found) == {topic for topic, _ in partitions}
    for topic, balance in found.items():
        sums = [
            sum(counts[i] for (t, _), counts in partitions.items() if t == topic) for i in range(len(SERIES))
        ]
        assert [getattr(balance, name) for name in SERIES] == sums
        assert balance.even is (sums[0] == sum(sums[1:]))


def test_a_router_in_a_worker_is_told_from_it() -> None:
    series = [
        f'headrace_{name}_total{{reader="{reader}",topic="t",partition="0"}} {count}'
        for reader, counts in (("embedder-g1", (3, 2, 1)), ("router-catalogue", (3, 0, 2)))
        for name, count in zip(("consumed", "applied", "forwarded"), counts, strict=True)
    ]
    kinds = [f"# TYPE headrace_{name}_total counter" for name in ("consumed", "applied", "forwarded")]
    page = "\n".join(f"{kind}\n{series[n]}\n{series[n + 3]}" for n, kind in enumerate(kinds)) + "\n"
    own, router = read_balances("embedder", page)
    assert lines([own]) == [
        "embedder, t: 3 read = 2 applied + 0 without effect + 0 dead-lettered + 1 forwarded"
    ]
    assert (router.worker, router.forwarded, router.even) == ("embedder (router-catalogue)", 2, False)


def test_a_worker_that_counts_nothing_has_no_balance() -> None:
    assert read_balances("w", "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 1\n") == []


def test_a_topic_that_nobody_read_is_not_mentioned() -> None:
    assert lines([Balance("w", "t", 0, 0, 0, 0)]) == []
    assert lines([Balance("w", "t", 2, 1, 1, 0)]) == [
        "w, t: 2 read = 1 applied + 1 without effect + 0 dead-lettered"
    ]


def test_a_balance_as_json_says_whether_it_is_even() -> None:
    shown = Balance("w", "t", 3, 1, 1, 0).json()
    assert set(shown) == {"worker", "topic", "even", *SERIES}
    assert shown["even"] is False


async def test_workers_that_do_not_answer_are_left_out() -> None:
    with answering({"/metrics": (200, page({("t", 0): (3, 2, 1, 0, 0, 0)}))}) as port:
        found = await balances(
            {
                "embedder": f"http://127.0.0.1:{port}",
                "shards": f"http://127.0.0.1:{free_port()}",
                "search": f"http://127.0.0.1:{port}/nowhere",
            }
        )
    assert [(balance.worker, balance.consumed) for balance in found] == [("embedder", 3)]


def test_a_result_as_json_counts_all_differences_and_shows_the_first() -> None:
    shown = VerificationResult(["a", "b", "c"], {"products": 3}, ["n"]).json("verify index", shown=2)
    assert shown == {
        "name": "verify index",
        "equal": False,
        "differences": ["a", "b"],
        "difference_count": 3,
        "figures": {"products": 3},
        "notes": ["n"],
    }


@given(st.dictionaries(st.integers(0, 5), st.integers(0, 3)))
def test_each_partition_that_lost_its_beginning_is_named_once(beginnings: dict[int, int]) -> None:
    partitions = {Partition("t", number): first for number, first in beginnings.items()}
    gaps = retention_gaps(partitions)
    assert len(gaps) == sum(first > 0 for first in beginnings.values())
    assert gaps == sorted(gaps)


async def test_a_system_that_is_still_at_work_is_given_time(monkeypatch) -> None:
    monkeypatch.setattr(verdict, "LOOK_AGAIN", timedelta())
    differences = iter([["late"], ["late"], []])

    async def look() -> VerificationResult:
        return VerificationResult(next(differences), {})

    assert (await settled(look, timedelta(seconds=30))).equal


async def test_after_its_time_the_last_verdict_stands() -> None:
    async def look() -> VerificationResult:
        return VerificationResult(["differs"], {})

    assert (await settled(look, timedelta())).differences == ["differs"]


AT = Partition("catalogue.changes.v1", 0)
REASONS = ("json.invalid", "schema.invalid")


def poison(offset: int) -> Record:
    return Record(AT, offset, b"p", b"{%d" % offset, NOON, (("ce_id", b"%d" % offset),))


def letter(record: Record, reason: str) -> Record:
    written = headers(record, PoisonError(reason, "no"), reader="embedder-g1", by=Record)
    return Record(Partition(f"{AT.topic}.dlq", 0), 0, record.key, record.value, NOON, written)


@given(
    st.dictionaries(st.integers(0, 5), st.sampled_from(REASONS)),
    st.dictionaries(st.integers(0, 5), st.sampled_from(REASONS)),
    st.integers(0, 3),
)
def test_every_message_that_can_not_be_used_has_its_letter_and_no_other(refused, written, first) -> None:
    letters = Letters()
    for offset, reason in refused.items():
        letters.refuse(poison(offset), reason)
    for offset, reason in written.items():
        letters.take(letter(poison(offset), reason))
    wrong = {
        offset for offset in refused.keys() | written.keys() if refused.get(offset) != written.get(offset)
    }
    differences = list(letters.differences({AT: first}))
    assert len(differences) == len({offset for offset in wrong if offset >= first})
    assert letters.again == 0


@pytest.mark.parametrize(("changed", "differences"), [(0, 0), (-1, 1)], ids=["the message", "another one"])
async def test_a_letter_that_has_only_a_part_of_the_message_is_held_against_its_digest(
    changed: int, differences: int
) -> None:
    publisher, letters = MemoryPublisher(), Letters()
    large = Record(AT, 1, b"p", b"{" * (HEAD_BYTES * 40), NOON)
    await DeadLetters(publisher, reader="embedder-g1", by=Record).write(large, PoisonError("a.b", "no"))
    [cut] = publisher.messages
    letters.take(Record(Partition(cut.topic, 0), 0, cut.key, cut.value, NOON, cut.headers))
    letters.refuse(replace(large, value=b"{" * (HEAD_BYTES * 40 + changed)), "a.b")
    assert len(list(letters.differences({AT: 0}))) == differences


def test_a_letter_without_connect_s_headers_is_unfit() -> None:
    letters = Letters()
    letters.take(Record(Partition(f"{AT.topic}.dlq", 0), 4, b"p", b"{", NOON, (("headrace.reason", b"x"),)))
    assert list(letters.differences({AT: 0})) == [
        f"{AT.topic}.dlq-0 @ 4: a dead letter with 0 Connect headers, not 10"
    ]


@pytest.mark.parametrize("copies", [1, 2, 5])
def test_a_letter_that_was_written_again_is_counted(copies: int) -> None:
    letters = Letters()
    letters.refuse(poison(1), "json.invalid")
    for _ in range(copies):
        letters.take(letter(poison(1), "json.invalid"))
    assert letters.again == copies - 1
    assert list(letters.differences({AT: 0})) == []
