"""A disk that refuses, at every step and for as long as it likes: the shard answers on, and ends up whole."""

import errno
import itertools
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from services.shards.files import Files
from services.shards.searching import ViewQuery
from shared.disk import pause_of, writing
from shared.errors import TransientError
from tests.unit.shards.builders import EAST, NORTH, NOW, log, message, opened

LOG = log(
    *(
        message(
            f"p{number % 30}",
            NORTH if number % 2 else EAST,
            fields={"title": f"shoe {number}"},
            source=number,
            deleted=number % 11 == 3,
        )
        for number in range(90)
    )
)


class Refusing(Files):
    """A disk that refuses a stretch of its operations, from the `first` one on."""

    def __init__(self, first: int, *, stretch: int, reason: int) -> None:
        self.done = 0
        self.refused = 0
        self._reason = reason
        self.refuse(first, stretch=stretch)

    def refuse(self, first: int, *, stretch: int) -> None:
        self._refused = range(first, first + stretch)

    def write_pieces(self, path: Path, pieces: Iterable[bytes | memoryview]) -> None:
        data = b"".join(pieces)
        if self.done + 1 in self._refused:
            path.write_bytes(data[: len(data) // 2])
        self._step(path)
        path.write_bytes(data)

    def sync(self, path: Path) -> None:
        self._step(path)

    def replace(self, source: Path, target: Path) -> None:
        self._step(target)
        super().replace(source, target)

    def directory(self, path: Path) -> Path:
        self._step(path)
        return super().directory(path)

    def _step(self, path: Path) -> None:
        self.done += 1
        if self.done in self._refused:
            self.refused += 1
            raise OSError(self._reason, "no", str(path))


def answers(shard) -> dict[str, tuple[int, str]]:
    hits = shard.view.search(ViewQuery(vector=NORTH, text="shoe", k=200))
    return {hit.product_id: (hit.offset, hit.fields["title"]) for hit in hits}


def persistently(attempt: Callable[..., Any], *arguments: Any) -> Any:
    """Do it until the disk lets us, as the partition loop and the maintenance do."""
    while True:
        try:
            with writing(Path("shard")):
                return attempt(*arguments)
        except TransientError:
            continue


@pytest.mark.parametrize(("stretch", "reason"), [(1, errno.ENOSPC), (25, errno.EROFS)])
def test_whichever_step_the_disk_refuses_the_shard_is_whole_in_the_end(tmp_path, stretch, reason) -> None:
    truth_shard = opened(tmp_path / "truth")
    truth_shard.apply(LOG, 90)
    truth = answers(truth_shard)
    truth_shard.close()
    for first in itertools.count(1, 3):
        root, disk = tmp_path / str(first), Refusing(first, stretch=stretch, reason=reason)
        shard = persistently(partial(opened, root, files=disk, seal_rows=16))
        for start in range(0, 90, 30):
            batch = LOG[start : start + 30]
            persistently(shard.apply, batch, start + 30)
            persistently(shard.checkpoint, NOW)
            persistently(shard.merge)
        assert answers(shard) == truth
        shard.close()
        again = opened(root, epoch=99, seal_rows=16)
        assert again.view.next_offset == 90
        assert answers(again) == truth
        assert again.refusals == ()
        again.close()
        if not disk.refused:
            break


def test_what_was_refused_leaves_nothing_behind_that_would_keep_the_disk_full(tmp_path) -> None:
    disk = Refusing(0, stretch=0, reason=errno.ENOSPC)
    shard = opened(tmp_path, files=disk)
    shard.apply(LOG, 90)
    disk.refuse(disk.done + 8, stretch=10**6)  # the segment is written, the snapshot is not
    for _ in range(3):
        with pytest.raises(OSError, match="no"):
            shard.checkpoint(NOW + timedelta(seconds=1))
    assert not list((tmp_path / "shard" / "snapshots").iterdir())
    shard.close()


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("An IO error occurred: 'No space left on device (os error 28) at path \"/w\"'", "disk.full"),
        ('Os { code: 28, kind: StorageFull, message: "No space left on device" }', "disk.full"),
        ("Read-only file system (os error 30)", "disk.read-only"),
        ("Input/output error (os error 5)", "disk.broken"),
        ("the schema does not match", None),
    ],
)
def test_what_the_text_index_says_of_a_disk_is_understood(said: str, cause: str | None) -> None:
    pause = pause_of(ValueError(said), Path("/shard/work"))
    assert (pause.cause if pause else None) == cause
    assert pause is None or "/shard/work" in str(pause)
