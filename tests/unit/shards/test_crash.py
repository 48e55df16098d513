"""A power cut at every single file operation, and a flipped bit in every kind of file."""

import itertools
from datetime import timedelta
from pathlib import Path

import pytest

from services.shards.domain.manifest import RecoveryCriteria
from services.shards.files import Files, exclusive
from services.shards.searching import ViewQuery
from services.shards.settings import ShardsSettings
from services.shards.shard import Identity, Shard
from shared.errors import FencedError, TransientError
from tests.stamped import change
from tests.unit.shards.builders import (
    EAST,
    NORTH,
    NOW,
    SOUTH,
    WEEK,
    attributes,
    log,
    message,
    opened,
    stored,
)

LOG = log(
    *(message(f"p{number}", NORTH, EAST, fields={"title": f"shoe {number}"}) for number in range(6)),
    message("p1", SOUTH, fields={"title": "hat"}, source=1),
    message("p2", source=1, deleted=True),
    "p3",
    message("p9", SOUTH, fields={"title": "late"}),
    attributes("p4", change("patch", 9, "p4", price=1)),
)
FIRST, SECOND = 6, len(LOG)


class PowerCutError(Exception):
    """The machine is gone."""


class FailingFiles(Files):
    """Stops at the n-th operation, for good; a write that is cut leaves half of its bytes."""

    def __init__(self, operations: int) -> None:
        self.left = operations

    def _spend(self) -> None:
        if self.left <= 0:
            raise PowerCutError
        self.left -= 1

    def write_pieces(self, path, pieces):
        data = b"".join(pieces)
        if self.left == 0:
            path.write_bytes(data[: len(data) // 2])
        self._spend()
        super().write_pieces(path, [data])

    def sync(self, path):
        self._spend()
        super().sync(path)

    def replace(self, source, target):
        self._spend()
        super().replace(source, target)

    def directory(self, path):
        self._spend()
        return super().directory(path)

    def remove(self, path):
        self._spend()
        super().remove(path)


def answers(shard) -> dict:
    found = shard.view.search(ViewQuery(vector=NORTH, text="shoe hat", k=20))
    assert stored(shard).keys() == {hit.product_id for hit in found}
    return {hit.product_id: (round(hit.dense, 3), hit.offset, hit.fields["title"]) for hit in found}


@pytest.fixture
def truth(place) -> dict:
    """Return what the shard must answer after so many records."""
    shard = opened(place / "truth")
    shard.apply(LOG[:FIRST], FIRST)
    first = answers(shard)
    shard.apply(LOG[FIRST:], SECOND)
    both = {None: {}, FIRST: first, SECOND: answers(shard)}
    shard.close()
    return both


def saved_once(root: Path, **settings) -> None:
    shard = opened(root, **settings)
    shard.apply(LOG[:FIRST], FIRST)
    assert shard.checkpoint(NOW)
    shard.close()


def cut(root: Path, operations: int) -> bool:
    """Take over, apply, checkpoint, merge, checkpoint; say whether the power failed in between."""
    files = FailingFiles(operations)
    try:
        shard = opened(root, epoch=2, files=files, seal_rows=16)
        shard.apply(LOG[FIRST:], SECOND)
        shard.checkpoint(NOW)
        shard.merge()
        shard.checkpoint(NOW)
    except PowerCutError:
        return True
    return False


def test_a_power_cut_at_any_step_leaves_a_state_that_goes_on_to_the_truth(place, truth):
    for operations in itertools.count():
        root = place / str(operations)
        saved_once(root)
        failed = cut(root, operations)
        shard = opened(root, epoch=3)
        assert not shard.refusals
        done = shard.view.next_offset
        assert done in {FIRST, SECOND}
        assert answers(shard) == truth[done]
        shard.apply(LOG[done:], SECOND)
        assert answers(shard) == truth[SECOND]
        shard.checkpoint(NOW)
        shard.close()
        if not failed:
            break
    assert operations > 30


def files_of(root: Path) -> list[Path]:
    return sorted(path for path in (root / "shard").rglob("*") if path.is_file() and path.name != "lock")


KINDS = [
    "manifests/m*.json",
    "segments/*/content.arrays",
    "patches/*/states.arrays",
    "snapshots/*/deleted.json",
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_is_refused_and_the_state_before_it_is_used(place, truth, kind):
    saved_once(place)
    before = set(files_of(place))
    shard = opened(place, epoch=2)
    shard.apply(LOG[FIRST:], SECOND)
    shard.checkpoint(NOW)
    shard.close()
    found = [
        path for path in (place / "shard").glob(kind) if path not in before and path.stat().st_nlink == 1
    ]
    flip(max(found))
    shard = opened(place, epoch=3)
    assert len(shard.refusals) == 1
    assert shard.view.next_offset == FIRST
    assert answers(shard) == truth[FIRST]
    shard.apply(LOG[FIRST:], SECOND)
    assert answers(shard) == truth[SECOND]
    shard.close()


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def test_when_nothing_verifies_the_shard_starts_from_the_beginning_of_the_log(place, truth):
    saved_once(place)
    for path in files_of(place):
        flip(path)
    shard = opened(place, epoch=2)
    assert len(shard.refusals) == 2
    assert shard.view.next_offset is None
    shard.apply(LOG, SECOND)
    assert answers(shard) == truth[SECOND]
    shard.close()


def test_a_missing_file_is_refused(place):
    saved_once(place)
    next((place / "shard" / "segments").rglob("content.arrays")).unlink()
    shard = opened(place, epoch=2)
    assert "content.arrays is missing" in shard.refusals[0]
    shard.close()


def test_a_state_older_than_tombstones_are_kept_is_refused(place):
    saved_once(place)
    shard = opened(place, epoch=2, now=NOW + WEEK)
    assert shard.view.next_offset == FIRST
    shard.close()
    shard = opened(place, epoch=3, now=NOW + WEEK + timedelta(seconds=1))
    assert "longer ago than tombstones are kept" in shard.refusals[0]
    assert shard.view.next_offset is None
    shard.close()


@pytest.mark.parametrize("edges", [(0, FIRST - 1), (FIRST + 1, 100)])
def test_a_state_that_the_log_does_not_continue_is_refused(place, edges):
    saved_once(place)
    shard = opened(place, epoch=2, edges=edges)
    assert shard.view.next_offset is None
    shard.close()


def test_an_owner_with_an_older_epoch_is_refused_and_changes_nothing(place):
    saved_once(place, epoch=1)
    zombie = opened(place, epoch=1)
    owner = opened(place, epoch=2)
    zombie.apply(LOG[FIRST:], SECOND)
    published = [path.name for path in files_of(place) if path.parent.name == "manifests"]
    with pytest.raises(FencedError, match="holds it with epoch 2, ours is 1"):
        zombie.checkpoint(NOW)
    assert published == [path.name for path in files_of(place) if path.parent.name == "manifests"]
    owner.apply(LOG[FIRST:], SECOND)
    assert owner.checkpoint(NOW)
    owner.close()
    with pytest.raises(FencedError):
        opened(place, epoch=1)


def test_two_processes_do_not_publish_at_once(place):
    saved_once(place)
    with exclusive(place / "shard"), pytest.raises(TransientError, match="in use by another process"):
        opened(place, epoch=2)


def test_files_that_nothing_names_are_removed(place):
    shard = opened(place, seal_rows=16)
    for turn in range(12):
        shard.apply(log(message(f"p{turn % 3}", NORTH, source=turn), start=turn), turn + 1)
        shard.checkpoint(NOW)
        shard.merge()
    shard.checkpoint(NOW)
    shard.apply(log(message("p0", NORTH, source=99), start=12), 13)
    shard.checkpoint(NOW)
    folder = place / "shard"
    assert len(list((folder / "manifests").iterdir())) == 2
    assert len(list((folder / "snapshots").iterdir())) == 2
    assert len(list((folder / "segments").iterdir())) <= 5
    shard.close()


def test_no_product_id_is_in_a_file_name(place):
    shard = opened(place)
    shard.apply(log(message("../../evil", NORTH), message("/etc/passwd", EAST)), 2)
    shard.checkpoint(NOW)
    names = "".join(str(path.relative_to(place)) for path in place.rglob("*"))
    assert "evil" not in names
    assert "passwd" not in names
    shard.close()
    shard = opened(place, epoch=2)
    assert set(stored(shard)) == {"../../evil", "/etc/passwd"}
    shard.close()


def test_what_is_not_ours_in_a_folder_is_left_alone(place, truth):
    saved_once(place)
    strays = [
        place / "shard" / folder / name
        for folder in ("manifests", "segments", "patches", "snapshots")
        for name in (".DS_Store", "m1.json", "backup", "mabc-def.json")
    ]
    for path in strays:
        path.write_text("not ours")
    shard = opened(place, epoch=2)
    assert not shard.refusals
    shard.apply(LOG[FIRST:], SECOND)
    shard.checkpoint(NOW)
    assert answers(shard) == truth[SECOND]
    assert all(path.exists() for path in strays)
    shard.close()


@pytest.mark.parametrize("other", [{"generation": "g2"}, {"partition": 1}])
def test_a_state_of_another_shard_is_refused(place, other):
    saved_once(place)
    shard = Shard.open(
        place / "shard",
        Identity(**{"generation": "g1", "partition": 0, "epoch": 2, **other}),
        settings=ShardsSettings(),
        recovery=RecoveryCriteria(now=NOW, oldest=WEEK),
        files=Files(),
    )
    assert "is of partition 0 of generation g1" in shard.refusals[0]
    assert shard.view.documents == 0
    shard.close()
