import csv
from datetime import UTC, date, datetime
from io import StringIO

import pytest

from schemas.judgements import ActionStatistics, Judgement
from services.judgements.reading import csv_lines, json_lines, qrels_lines, query_lines


def judgement(query, product, grade, **actions):
    return Judgement(
        query=query,
        product_id=product,
        window_start=date(2026, 10, 22),
        window_end=date(2026, 11, 20),
        impressions=10,
        shoppers=2,
        actions={name: ActionStatistics(count=count) for name, count in actions.items()},
        value=1.0,
        grade=grade,
        updated_at=datetime(2026, 11, 20, tzinfo=UTC),
    )


FOUND = [judgement('red, "new" shoes', "p1", 2.5, click=3), judgement("lamp", "p2", 1.49, purchase=1)]


@pytest.mark.parametrize(("grade", "integer"), [(0.0, 0), (0.49, 0), (0.5, 1), (1.5, 2), (2.49, 2), (3.0, 3)])
def test_qrels_have_grades_rounded_half_up(grade, integer):
    [line] = qrels_lines([judgement("q", "p", grade)])
    assert line.split()[1:] == ["0", "p", str(integer)]


def test_the_queries_file_explains_the_qrels():
    names = dict(line.split("\t") for line in query_lines(FOUND))
    assert [names[line.split()[0]] for line in qrels_lines(FOUND)] == [it.query for it in FOUND]


def test_csv_has_the_same_columns_for_every_pair():
    header, *rows = csv.reader(StringIO("\n".join(csv_lines(FOUND))))
    assert header[:4] == ["query", "product_id", "impressions", "shoppers"]
    first = dict(zip(header, rows[0], strict=True))
    assert (first["query"], first["click"], first["purchase"], first["purchase_rate"]) == (
        'red, "new" shoes',
        "3",
        "0",
        "1.0",
    )


def test_json_lines_are_the_messages():
    assert [Judgement.decode(line.encode()) for line in json_lines(FOUND)] == FOUND
