"""Canaries made from arguments and files."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.judgements import Canary
from services.monitor.canaries import files as canary_files
from shared.errors import ConfigurationError


def test_the_same_query_gets_the_same_readable_id():
    assert canary_files.identifier("Red Shoe!") == canary_files.identifier("Red Shoe!")
    assert canary_files.identifier("Red Shoe!").startswith("red-shoe-")


@given(st.text(min_size=1, max_size=100).filter(lambda query: query.strip()))
def test_every_query_gets_a_valid_id(query: str):
    assert canary_files.canary(query, ["p"], k=10, minimum_recall=None).query == query


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"products": []}, "product_ids"),
        ({"products": ["a\x00b"]}, "product_ids.0"),
        ({"query": "  "}, "blank"),
        ({"products": ["a", "b", "c"], "k": 1, "minimum_recall": 0.5}, "at most 0.33"),
        ({"canary_id": "a b"}, "canary_id"),
    ],
)
def test_what_is_no_canary_is_refused_with_the_reason(arguments: dict[str, object], complaint: str):
    good = {"query": "shoe", "products": ["p"], "k": 10, "minimum_recall": None}
    with pytest.raises(ConfigurationError, match=complaint):
        canary_files.canary(**{**good, **arguments})


def test_pairs_of_a_query_become_one_canary(tmp_path: Path):
    file = tmp_path / "pairs.tsv"
    file.write_text("red shoe\tp1\nblue hat\tp3\nred shoe\tp2\n\n")
    canaries = canary_files.read(file, k=5, minimum_recall=0.5)
    assert [(c.query, c.product_ids, c.k) for c in canaries] == [
        ("red shoe", ("p1", "p2"), 5),
        ("blue hat", ("p3",), 5),
    ]


def test_json_lines_are_read_as_they_are(tmp_path: Path):
    canary = Canary(canary_id="c", query="q", product_ids=("p",), minimum_recall=1.0)
    file = tmp_path / "canaries.jsonl"
    file.write_bytes(canary.encode() + b"\n")
    assert canary_files.read(file, k=10, minimum_recall=None) == [canary]


@pytest.mark.parametrize("text", ['{"canary_id":"c"}\n', "red shoe\n", 'a\tb\n{"x":1}\n'])
def test_a_bad_line_is_named(tmp_path: Path, text: str):
    file = tmp_path / "canaries"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"canaries:\d"):
        canary_files.read(file, k=10, minimum_recall=None)
