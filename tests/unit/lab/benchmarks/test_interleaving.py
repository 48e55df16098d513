"""What two generations at once cost: the rows, and what is asked."""

import pytest
from rich.progress import Progress

from services.lab.benchmarks.interleaving import measure, rows
from services.lab.simulation import shop
from shared.errors import ConfigurationError


def test_two_generations_are_held_against_one():
    figures = {row.name: row for row in rows({"rest": [0.01] * 9 + [0.1], "interleaved": [0.02] * 10}, 0.9)}
    assert figures["one generation p50"].value == pytest.approx(10)
    assert figures["two generations p50"].ratio == pytest.approx(2)
    assert figures["two generations p99"].ratio == pytest.approx(0.2)
    assert figures["drafted"].value == 0.9


def test_texts_do_not_come_twice_so_there_must_be_enough():
    with pytest.raises(ConfigurationError, match="want 2060 products: give --searches"):
        measure(None, shop.sample().products[:100], searches=1000, progress=Progress(disable=True))
