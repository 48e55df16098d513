"""FileUnits to products: the guess of the fields, numbers, and what is left out."""

import json
from datetime import UTC, datetime

import orjson
import pytest

from schemas.wire import read_change
from services.loader.domain.columns import normal
from services.loader.domain.products import ProductReader, delete, presence
from services.loader.request import ReadOptions
from shared.catalogue.texts import named_fields
from shared.errors import ConfigurationError
from tests.unit.loader.files import MOMENT, products_of, survey_of

GERMAN = (
    "Artikelnummer;Bezeichnung;Hersteller;Preis;Lagerbestand;EAN;Gewicht\n"
    "A-1;Stiefel;Müller;12,50 EUR;5;4006381333931;500\n"
    "A-2;Hose;Müller;1.299;x;4006381333932;1.5\n"
    "A-3;;;;;;schwer\n"
)


def test_columns_in_another_language_become_the_fields_of_the_house(tmp_path):
    products, _ = products_of(tmp_path, GERMAN)
    assert products["A-1"] == {
        "Artikelnummer": "A-1",
        "title": "Stiefel",
        "brand": "Müller",
        "price": 12.5,
        "currency": "EUR",
        "stock": 5,
        "gtin": "4006381333931",
        "Gewicht": "500",
    }


def test_the_other_prices_of_a_file_say_what_its_separator_is(tmp_path):
    products, faults = products_of(tmp_path, GERMAN)
    assert products["A-2"]["price"] == 1299
    assert [(fault.line, fault.column, fault.reason, fault.lost) for fault in faults] == [
        (3, "Lagerbestand", "number.invalid", False)
    ]


def test_a_price_that_nothing_decides_is_left_out_and_told(tmp_path):
    table = "id,title,price\n1,a,1.299\n2,b,7\n"
    products, faults = products_of(tmp_path, table)
    assert "price" not in products["1"]
    assert [fault.reason for fault in faults] == ["number.ambiguous"]
    assert products_of(tmp_path, table, decimal=",")[0]["1"]["price"] == 1299


def test_a_currency_is_kept_as_far_as_it_is_known(tmp_path):
    table = "id,title,price\n1,a,$5\n2,b,£5\n3,c,5\n"
    currencies = {key: product.get("currency") for key, product in products_of(tmp_path, table)[0].items()}
    assert currencies == {"1": "$", "2": "GBP", "3": None}
    said = products_of(tmp_path, table, currency="CAD")[0]
    assert {key: product["currency"] for key, product in said.items()} == {"1": "CAD", "2": "GBP", "3": "CAD"}


def test_codes_stay_texts_and_numbers_become_numbers(tmp_path):
    table = "sku,name,ean,weight_g,zip\n007,a,0401,500,01234\n008,b,0402,1.5,10115\n"
    products, _ = products_of(tmp_path, table)
    assert products["007"] == {"sku": "007", "title": "a", "gtin": "0401", "weight_g": 500, "zip": "01234"}


def test_a_column_that_looked_like_numbers_keeps_the_text_that_is_none(tmp_path):
    rows = "".join(f"{n},t,{n}\n" for n in range(1, 1200))
    products, faults = products_of(tmp_path, f"id,title,size\n{rows}XL,t,XL\n")
    assert (products["5"]["size"], products["XL"]["size"], faults) == (5, "XL", [])


def test_json_keeps_what_it_says_and_prices_in_words_are_read(tmp_path):
    rows = [
        {"id": 1, "name": " a ", "price": {"amount": "12,50 EUR"}, "tags": ["x"], "empty": "", "none": None},
        {"id": 2, "name": "b", "price": {"amount": 3}},
    ]
    content = "\n".join(map(json.dumps, rows))
    products, faults = products_of(tmp_path, content, fields={"price": "price.amount"})
    assert products["1"] == {"title": " a ", "price": 12.5, "currency": "EUR", "tags": ["x"]}
    assert (products["2"]["price"], faults) == (3, [])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"title": "x"}, "id.missing"),
        ({"id": "a\x1b[31m", "title": "x"}, "id.invalid"),
        ({"id": "a"}, "fields.missing"),
        ({"id": "a", "title": "x" * 20000, **{f"f{n}": "y" * 8000 for n in range(40)}}, "message.too_large"),
    ],
)
def test_a_row_that_cannot_be_loaded_says_why(tmp_path, row, reason):
    content = f'{{"id":"ok","title":"t"}}\n{json.dumps(row)}\n'
    products, faults = products_of(tmp_path, content)
    assert products.keys() == {"ok"}
    assert [(fault.line, fault.reason, fault.lost) for fault in faults] == [(2, reason, True)]
    assert all(part.isprintable() for part in (faults[0].value, faults[0].fix, faults[0].column))


def test_bytes_that_are_not_of_the_encoding_cost_their_line(tmp_path):
    content = b"id,title\n" + b"".join(b"%d,x\n" % n for n in range(1, 70000)) + b"z,schl\xfcssel\n"
    products, faults = products_of(tmp_path, content)
    assert len(products) == 69_999
    assert [(fault.line, fault.column, fault.reason) for fault in faults] == [
        (70_001, "title", "encoding.invalid")
    ]


def test_a_product_without_a_text_to_embed_is_loaded_and_told(tmp_path):
    texts = named_fields(("{title|name}", "Brand: {brand}", "color"))
    assert texts == ("title", "name", "brand", "color")
    products, faults = products_of(tmp_path, '{"id":"a","price":3}\n', texts=texts)
    assert products == {"a": {"price": 3}}
    assert [(fault.reason, fault.lost) for fault in faults] == [("text.empty", False)]


def test_what_is_said_goes_before_the_guess_and_must_be_there(tmp_path):
    table = "id,title,headline\n1,a,b\n"
    assert products_of(tmp_path, table, fields={"title": "headline"})[0]["1"] == {
        "title": "b",
        "title_column": "a",
    }
    assert products_of(tmp_path, table, fields={"title": ""})[0]["1"]["title"] == "a"
    words = r"no column 'nope\\\\x1b': its columns are id, title, headline"
    for options in ({"id_column": "nope\x1b"}, {"fields": {"title": "nope\x1b"}}):
        with pytest.raises(ConfigurationError, match=words):
            products_of(tmp_path, table, **options)
    with pytest.raises(ConfigurationError, match="--id COLUMN; its columns are a, b"):
        products_of(tmp_path, "a,b\n1,2\n")


def test_names_are_compared_without_case_marks_and_umlauts():
    assert [*map(normal, ("g:Image Link", "Größe", " Body (HTML) "))] == [
        "image_link",
        "groesse",
        "body_html",
    ]


def test_what_is_written_is_what_the_bus_reads(tmp_path):
    with survey_of(tmp_path, GERMAN) as survey:
        reader = ProductReader(survey.reading(ReadOptions()), MOMENT)
        values = [reader.read(next(survey.rows)).value, delete("A-1", MOMENT), presence("A-1", MOMENT)]
    now = datetime(2026, 11, 30, 2, 0, 1, tzinfo=UTC)
    read = [
        read_change(key=b"A-1", value=value, headers=(), timestamp=now, offset=0).change for value in values
    ]
    assert [change.op for change in read] == ["upsert", "delete", "patch"]
    assert {(change.stamp.line, change.stamp.version) for change in read} == {("time", (1_796_004_000_000,))}
    assert orjson.loads(values[0])["fields"] == dict(read[0].fields)
