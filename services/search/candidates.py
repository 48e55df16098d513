"""From the columns of a shard's answer to candidates."""

from collections.abc import Iterator
from math import isnan

import numpy as np

from schemas.search_api import PartitionReport
from schemas.shard_api import ShardHit
from schemas.shard_frames import PartitionCandidates
from services.search.domain.candidate import Candidate, ShardAnswer


def answer_of(answer: PartitionCandidates, url: str) -> ShardAnswer:
    """Return one partition's part of an answer; raises `ValueError` when its columns are of other lengths."""
    number, epoch = answer.partition, answer.epoch
    report = PartitionReport(
        partition=number,
        answered=True,
        owner=url,
        epoch=epoch,
        next_offset=answer.next_offset,
        reason=None,
    )
    candidates = tuple([Candidate(hit, number, epoch) for hit in _hits(answer)])
    return ShardAnswer(report, candidates, documents=answer.documents, kinds=answer.kinds)


def _hits(answer: PartitionCandidates) -> Iterator[ShardHit]:
    """Yield the candidates, without what they say; raises `ValueError` when columns are of other lengths."""
    columns = (
        np.frombuffer(packed, kind).tolist()
        for packed, kind in (
            (answer.dense, "<f4"),
            (answer.lexical, "<f4"),
            (answer.passages, "<i8"),
            (answer.parts, "<i4"),
            (answer.offsets, "<i8"),
        )
    )
    for product_id, dense, lexical, passage, part, offset in zip(answer.product_ids, *columns, strict=True):
        yield ShardHit(
            product_id=product_id,
            dense=None if isnan(dense) else dense,
            lexical=None if isnan(lexical) else lexical,
            passage=passage,
            segment=answer.segments[part],
            offset=offset,
            fields={},
        )
