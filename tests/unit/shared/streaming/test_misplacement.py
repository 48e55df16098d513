"""What a misplaced message says of its producer."""

import pytest

from shared.kafka.partitioning import partition_of
from shared.records import Partition, Record
from shared.streaming.misplacement import EXPLANATIONS, Misplacement, misplacement
from tests.unit.shared.streaming.test_repartition import NOON

SHOE = b"SHOE-1"
CRC32 = {b"SHOE-1": 3, b"SHOE-2": 1, b"LAMP-1": 0}
"""Where librdkafka 2.16 puts these keys among four partitions."""


def cause(key: bytes | None, number: int, *, partitions: int = 4, subject: bytes = SHOE) -> Misplacement:
    record = Record(Partition("catalogue.changes.v1", number), 0, key, b"{}", NOON)
    return misplacement(record, subject, partitions=partitions)


@pytest.mark.parametrize(
    ("key", "number", "why"),
    [
        (None, 0, Misplacement.NO_KEY),
        (b"", 0, Misplacement.NO_KEY),
        (b'{"id":"SHOE-1"}', 0, Misplacement.JSON_KEY),
        (b'"SHOE-1"', 0, Misplacement.JSON_KEY),
        (b"shop/SHOE-1", 0, Misplacement.OTHER_KEY),
    ],
)
def test_the_form_of_a_key_says_what_its_producer_does(key, number, why):
    assert cause(key, number) is why
    assert why.explanation


def test_each_cause_has_its_explanation():
    assert EXPLANATIONS.keys() == set(Misplacement)


@pytest.mark.parametrize(("key", "number"), CRC32.items())
def test_librdkafkas_partitioner_is_known_by_where_it_puts_the_right_key(key, number):
    assert cause(key, number, subject=key) is Misplacement.CRC32


def test_a_producer_that_sees_more_partitions_than_there_are_homes_is_all_right():
    number = partition_of(SHOE, 8)
    assert cause(SHOE, number, partitions=8) is Misplacement.PARTITIONS_ADDED


def test_another_partitioner_is_nobody_that_we_know():
    others = set(range(4)) - {CRC32[SHOE], partition_of(SHOE, 4)}
    assert {cause(SHOE, number) for number in others} == {Misplacement.OTHER_PARTITIONER}
