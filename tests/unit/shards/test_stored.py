"""What a shard has on its disk, as operators see it."""

import pytest

from services.shards.files import Files
from services.shards.store import ShardStore
from services.shards.stored import look
from tests.unit.shards.builders import EAST, NORTH, NOW, log, message, opened


@pytest.fixture
def root(place):
    """Give a shard with two checkpoints."""
    shard = opened(place)
    for start in (0, 1):
        entries = log(message(f"p{start}", NORTH, EAST, fields={"title": "shoe"}), start=start)
        shard.apply(entries, start + 1)
        shard.checkpoint(NOW)
    shard.close()
    return place / "shard"


def files(root):
    """Return the files of the newest checkpoint."""
    store = ShardStore(root, epoch=0, files=Files())
    return [root / file.path for file in store.read(store.manifests()[0]).files()]


def test_checkpoints_are_told_newest_first_with_what_they_weigh(root):
    checkpoints, faults = look(root, verify=True)
    assert faults == []
    assert [checkpoint.next_offset for checkpoint in checkpoints[:2]] == [2, 1]
    assert checkpoints[0].files == len(files(root)) > 0
    assert checkpoints[0].size == sum(file.stat().st_size for file in files(root))


@pytest.mark.parametrize("what", ["flipped", "missing"])
def test_a_file_that_is_not_what_was_written_is_a_fault_when_files_are_read(root, what):
    file = files(root)[0]
    content = bytearray(file.read_bytes())
    file.unlink()
    if what == "flipped":
        content[0] ^= 1
        file.write_bytes(content)
    assert look(root, verify=False)[1] == []
    faults = look(root, verify=True)[1]
    assert faults
    assert all(file.name in problem for problem in faults)


def test_a_manifest_that_is_not_what_was_written_is_always_a_fault(root):
    newest = max((root / "manifests").glob("*.json"))
    newest.write_bytes(newest.read_bytes()[:-1])
    checkpoints, faults = look(root, verify=False)
    assert next(checkpoint.next_offset for checkpoint in checkpoints) == 1
    assert len(faults) == 1
    assert newest.stem in faults[0]
