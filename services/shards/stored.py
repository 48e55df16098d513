"""`GET /stored`: what a shard has on this disk, and whether each file is what was written."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import Response

from schemas.shard_api import ShardRefusal
from schemas.shard_storage import StoredCheckpoint, StoredShardAnswer
from services.shards.domain.manifest import ShardManifest, StoredFile
from services.shards.files import Files, fault
from services.shards.store import RefusedError, ShardStore

Roots = Callable[[str, int], Path | None]
"""From generation and partition to the directory of a shard that is open here."""


def router(roots: Roots) -> APIRouter:
    """Return the route; 409 where the shard is not open here."""
    routes = APIRouter()

    @routes.get("/stored")
    async def stored(generation: str, partition: int, *, verify: bool = False) -> Response:
        root = roots(generation, partition)
        if root is None:
            refusal = ShardRefusal(
                reason="not.owned",
                explanation="this worker does not serve the partition",
                partition=partition,
                next_offset=None,
                wanted=None,
            )
            return Response(refusal.model_dump_json(), 409, media_type="application/json")
        checkpoints, faults = await asyncio.to_thread(look, root, verify=verify)
        answer = StoredShardAnswer(
            generation=generation,
            partition=partition,
            checkpoints=tuple(checkpoints),
            verified=verify,
            faults=tuple(faults),
        )
        return Response(answer.model_dump_json(), media_type="application/json")

    return routes


def look(root: Path, *, verify: bool) -> tuple[list[StoredCheckpoint], list[str]]:
    """Return the checkpoints there are, newest first, and what is wrong with them.

    With `verify` each of their files is read once. What its owner removes meanwhile, having published
    newer ones, is no fault.
    """
    store = ShardStore(root, epoch=0, files=Files())
    checkpoints: list[StoredCheckpoint] = []
    faults: dict[str, list[str]] = {}
    known: dict[StoredFile, str | None] = {}
    for name in store.manifests():
        try:
            manifest = store.read(name)
        except (RefusedError, OSError) as error:
            faults[name] = [str(error)]
            continue
        checkpoints.append(_checkpoint(name, manifest))
        if verify:
            files = manifest.files()
            known |= {file: fault(root, file) for file in files if file not in known}
            faults[name] = [f"{name}: {problem}" for file in files if (problem := known[file])]
    there = set(store.manifests())
    return checkpoints, [problem for name in faults.keys() & there for problem in faults[name]]


def _checkpoint(name: str, manifest: ShardManifest) -> StoredCheckpoint:
    files = manifest.files()
    return StoredCheckpoint(
        manifest=name,
        epoch=manifest.epoch,
        next_offset=manifest.next_offset,
        written_at=manifest.written_at,
        segments=len(manifest.segments),
        files=len(files),
        size=sum(file.size for file in files),
    )
