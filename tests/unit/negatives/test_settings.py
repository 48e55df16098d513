"""The `[negatives]` section, and what is asked of the log."""

import pytest

from services.negatives.domain.rules import MiningRules
from services.negatives.index_log import IndexLog
from services.negatives.settings import NegativeSettings
from shared.records import Partition


def test_every_rule_has_a_setting_with_the_same_default() -> None:
    assert NegativeSettings().rules() == MiningRules()


class FakeLog:
    """A broker that says where these partitions end."""

    def __init__(self, ends: dict[int, int]) -> None:
        self._ends = ends

    async def ends(self, partitions: list[Partition]) -> dict[Partition, int]:
        return {at: self._ends[at.number] for at in partitions if at.number in self._ends}


@pytest.mark.parametrize(("ends", "written"), [({0: 5, 1: 7}, 12), ({0: 5}, 0), ({}, 0)])
async def test_records_are_counted_only_when_every_partition_is_known(
    ends: dict[int, int], written: int
) -> None:
    assert await IndexLog(FakeLog(ends), partitions=2).written("g1") == written
