"""The file that `headrace bench load` makes, and what it reports."""

import json
from pathlib import Path

from services.lab.benchmarks.file_load import Run, _broken, _rows, products_of, write_products

WHOLE = Run(code=0, seconds=10, cpu=4, peak=50_000_000)


def test_a_made_file_is_the_same_each_time_and_no_other_file_has_its_products(tmp_path: Path) -> None:
    file = tmp_path / "whole.jsonl"
    write_products(file, 20)
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert lines == list(products_of("whole", 20))
    assert {line["id"] for line in lines}.isdisjoint(made["id"] for made in products_of("killed", 20))


def test_a_load_is_held_against_the_publisher_alone_and_a_killed_one_against_a_whole() -> None:
    killed, again = Run(-9, 4, 1, 1), Run(0, 8, 3, 1)
    rows = {row.name: row for row in _rows(1000, 200.0, WHOLE, (killed, again))}
    first = rows["file to acknowledgement, products"]
    assert (first.value, first.bound) == (100.0, 200.0)
    last = rows["killed half-way and gone on"]
    assert (last.value, last.bound) == (12, 10)
    assert rows["products a CPU-second of the loader"].value == 250


def test_what_is_missing_or_failed_is_said() -> None:
    assert list(_broken([WHOLE, WHOLE], 0)) == []
    assert list(_broken([WHOLE, Run(1, 1, 1, 1)], 3)) == [
        "a load ended with exit code 1",
        "3 products are missing",
    ]
