"""`headrace shards` on two workers that share the partitions: list, save, check, move, rebuild."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest

from services.lab.benchmarks.harness import fresh, write
from services.lab.benchmarks.ingest import upserts
from services.lab.benchmarks.second_generation import documents
from services.lab.simulation import shop
from shared.infrastructure.stack import Stack
from shared.ports import outgoing
from tests.command_line import Finished, finish
from tests.connected.killing import until

PRODUCTS = 200


@dataclass(frozen=True)
class Shards:
    """The command, and what it works on."""

    stack: Stack
    run: Callable[..., Finished]

    def rows(self) -> list[dict]:
        return self.run("list", "--json").json["shards"]

    def settled(self) -> list[dict]:
        """Return the rows once every partition is ready and nothing is behind."""
        until(lambda: all(row["state"] == "ready" and row["lag"] == 0 for row in self.rows()))
        until(lambda: sum(row["documents"] for row in self.rows()) == PRODUCTS)
        return self.rows()

    def root(self, partition: int) -> Path:
        return self.stack.settings.data_dir / "shards" / "g1" / str(partition)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with fresh(("shards", "shards", "embedder"), None) as started:
        products = shop.sample().products[:PRODUCTS]
        write(started.settings, [outgoing(change) for change in upserts(products, 1)], lambda _: None)
        until(lambda: documents(started.settings, "g1") == PRODUCTS)
        yield started


@pytest.fixture
def shards(stack: Stack, capsys, monkeypatch) -> Shards:
    monkeypatch.setenv("HEADRACE_DATA_DIR", str(stack.settings.data_dir))
    return Shards(stack, lambda *arguments: finish(capsys, "shards", *arguments))


def test_each_partition_is_listed_with_its_owner(shards):
    rows = shards.settled()
    assert [row["partition"] for row in rows] == [0, 1, 2, 3]
    assert {row["owner"] for row in rows} == {"shards", "shards-2"}
    assert all(row["epoch"] > 0 and row["segments"] is not None for row in rows)
    assert shards.run("list").fits()


def test_a_checkpoint_is_written_now_and_its_files_hold(shards):
    offsets = [row["offset"] for row in shards.settled()]
    stored = shards.run("snapshot", "--json").json["shards"]
    assert [one["checkpoints"][0]["next_offset"] for one in stored] == offsets
    checked = shards.run("verify", "--json")
    assert checked.code == 0
    assert all(one["verified"] and not one["faults"] for one in checked.json["shards"])
    assert all(one["checkpoints"][0]["files"] > 0 for one in checked.json["shards"])


def test_a_file_that_is_not_what_was_written_is_told_and_a_rebuild_mends_it(shards):
    shards.settled()
    shards.run("snapshot")
    before = shards.rows()[1]
    damaged = max(shards.root(1).rglob("*/s*/*"), key=lambda file: file.stat().st_size)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.chmod(0o600)
    damaged.write_bytes(content)
    checked = shards.run("verify", "--json")
    assert checked.code == 1
    [faulty] = [one for one in checked.json["shards"] if one["faults"]]
    assert faulty["partition"] == 1
    assert damaged.name in faulty["faults"][0]
    rebuilt = shards.run("rebuild", "1", "--yes")
    assert rebuilt.code == 0, rebuilt.err
    assert f"has {before['documents']} products again" in rebuilt.out
    after = shards.settled()[1]
    assert (after["offset"], after["documents"]) == (before["offset"], before["documents"])
    assert after["epoch"] > before["epoch"]
    shards.run("snapshot")
    assert shards.run("verify").code == 0


def test_a_partition_moves_to_a_worker_and_stays_there(shards):
    before = shards.settled()[0]
    other = "shards-2" if before["owner"] == "shards" else "shards"
    moved = shards.run("move", "0", "--to", other)
    assert moved.code == 0, moved.err
    assert f"partition 0 is at {other} after" in moved.out
    after = shards.settled()[0]
    assert (after["owner"], after["moved_to"], after["documents"]) == (other, other, before["documents"])
    assert after["epoch"] > before["epoch"]
    assert "stays at" in shards.run("move", "0", "--to", other).out
    assert shards.run("move", "0").code == 0
    until(lambda: shards.rows()[0]["owner"] == before["owner"])
    assert shards.rows()[0]["moved_to"] is None


def test_what_is_not_there_is_said_in_a_line(shards):
    shards.settled()
    assert (
        "there is no worker 'nobody', only shards, shards-2"
        in shards.run("move", "0", "--to", "nobody").error
    )
    assert "nobody serves partition 9" in shards.run("rebuild", "9", "--yes").error
    assert "nobody serves a shard" in shards.run("list", "--generation", "g7").out


def test_a_rebuild_asks_first(shards, monkeypatch):
    epoch = shards.settled()[0]["epoch"]
    monkeypatch.setattr("sys.stdin", StringIO("n\n"))
    assert shards.run("rebuild", "0").code == 1
    assert shards.rows()[0]["epoch"] == epoch
