import orjson
import pytest

from services.cli.search import condition
from services.lab.report import BenchReport, ReportRow
from shared.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "filter_"),
    [
        ("price<20", {"field": "price", "op": "range", "lt": 20}),
        ("price >= 19.99", {"field": "price", "op": "range", "gte": 19.99}),
        ("brand=Sony", {"field": "brand", "op": "term", "value": "Sony"}),
        ("brand=Bang & Olufsen", {"field": "brand", "op": "term", "value": "Bang & Olufsen"}),
        ("color=red, blue", {"field": "color", "op": "in", "values": ["red", "blue"]}),
        ('size="43"', {"field": "size", "op": "term", "value": "43"}),
        ('name="a,b"', {"field": "name", "op": "term", "value": "a,b"}),
        ("new=true", {"field": "new", "op": "term", "value": True}),
    ],
)
def test_filters_are_written_as_people_think_them(text, filter_):
    assert condition(text) == filter_


@pytest.mark.parametrize("text", ["price", "=3", "price<", ""])
def test_what_is_no_filter_is_told(text):
    with pytest.raises(ConfigurationError, match="is not a filter"):
        condition(text)


def test_a_report_has_the_shape_that_every_measurement_has(capsys):
    rows = [ReportRow("documents", 90.0, "1/s", bound=100.0), ReportRow("nDCG@10", 0.62, note="hybrid")]
    BenchReport("ingest", rows, commit="abc", machine="m").show(as_json=True)
    assert orjson.loads(capsys.readouterr().out) == {
        "name": "ingest",
        "commit": "abc",
        "machine": "m",
        "rows": [
            {"name": "documents", "value": 90.0, "unit": "1/s", "bound": 100.0, "ratio": 0.9},
            {"name": "nDCG@10", "value": 0.62, "unit": ""},
        ],
    }
