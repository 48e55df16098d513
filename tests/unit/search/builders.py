"""What shards propose and report, with everything that a test does not care about."""

from schemas.search_api import PartitionReport
from schemas.shard_api import ShardHit
from services.search.domain.candidate import Candidate


def candidate(product_id, dense=None, lexical=None, *, partition=0, epoch=0, offset=0):
    hit = ShardHit(
        product_id=product_id,
        dense=dense,
        lexical=lexical,
        passage=0,
        segment="head",
        offset=offset,
        fields={},
    )
    return Candidate(hit, partition, epoch)


def report(partition, *, answered=True, reason=None):
    return PartitionReport(
        partition=partition, answered=answered, owner=None, epoch=None, next_offset=None, reason=reason
    )
