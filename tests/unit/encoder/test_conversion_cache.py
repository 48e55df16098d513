"""What is kept of conversions: whole or not at all, made once, made again when it is damaged, and bounded."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.encoder.runtimes.cache import ConversionCache
from shared.encoder.runtimes.port import UnsupportedModelError


def writing(content: str, calls: list[Path]) -> Callable[[Path], None]:
    def make(target: Path) -> None:
        calls.append(target)
        (target / "model").write_text(content)

    return make


def test_an_entry_is_made_once_whoever_asks(tmp_path: Path) -> None:
    calls: list[Path] = []
    with ThreadPoolExecutor(4) as pool:
        entries = list(
            pool.map(lambda _: ConversionCache(tmp_path).get("key", writing("a", calls)), range(8))
        )
    assert {(entry / "model").read_text() for entry in entries} == {"a"}
    assert len(calls) == 1


def test_after_an_error_there_is_no_entry(tmp_path: Path) -> None:
    def fail(target: Path) -> None:
        (target / "model").write_text("half")
        raise OSError("the disk is full")

    cache = ConversionCache(tmp_path)
    with pytest.raises(OSError, match="disk is full"):
        cache.get("key", fail)
    assert (cache.get("key", writing("whole", [])) / "model").read_text() == "whole"


@pytest.mark.parametrize("damage", [lambda file: file.write_text("b"), lambda file: file.unlink()])
def test_what_is_damaged_is_made_again(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    cache, calls = ConversionCache(tmp_path), []
    entry = cache.get("key", writing("a", calls))
    damage(entry / "model")
    assert (cache.get("key", writing("a", calls)) / "model").read_text() == "a"
    assert len(calls) == 2


def test_where_others_may_write_nothing_is_read_or_kept(tmp_path: Path) -> None:
    cache = ConversionCache(tmp_path / "open")
    cache.get("key", writing("a", []))
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(PermissionError, match="others may write into it"):
        cache.get("key", writing("a", []))


def test_what_cannot_be_made_is_not_tried_again(tmp_path: Path) -> None:
    def refuse(target: Path) -> None:
        raise UnsupportedModelError("of another family")

    cache = ConversionCache(tmp_path)
    with pytest.raises(UnsupportedModelError):
        cache.get("key", refuse)
    with pytest.raises(UnsupportedModelError, match="of another family"):
        cache.get("key", writing("a", []))


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    cache = ConversionCache(tmp_path, most_bytes=200)
    for key in ("a", "b"):
        cache.get(key, writing(key, []))
    os_times = {"a": 2_000_000_000, "b": 1_000_000_000}
    for key, seconds in os_times.items():
        os.utime(tmp_path / key, (seconds, seconds))
    cache.get("c", writing("c", []))
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["a", "c"]


def test_what_is_remembered_is_recalled_and_nothing_else(tmp_path: Path) -> None:
    cache = ConversionCache(tmp_path / "new")
    assert cache.recall("choice") is None
    cache.remember("choice", "torch")
    assert ConversionCache(tmp_path / "new").recall("choice") == "torch"
