"""Parquet, Merchant feeds and Shopify exports: what shops' own systems write."""

import gzip
import io
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from services.loader.domain.rows import NOT_FOR_SALE, FileRow
from services.loader.request import ReadOptions
from services.loader.survey import surveyed
from shared.errors import ConfigurationError
from tests.unit.loader.files import products_of, survey_of, units_of

RSS = """<?xml version="1.0"?>
<rss xmlns:g="http://base.google.com/ns/1.0" version="2.0"><channel>
<title>A shop</title><link>http://shop.example</link>
<item>
  <g:id>S-1</g:id><title>Boots &amp; laces</title><g:link>http://shop.example/1</g:link>
  <g:price>1,299.00 EUR</g:price><g:availability>in stock</g:availability>
  <g:additional_image_link>a.jpg</g:additional_image_link>
  <g:additional_image_link>b.jpg</g:additional_image_link>
  <g:shipping><g:country>DE</g:country><g:price>4.90 EUR</g:price></g:shipping>
  <g:description><![CDATA[<b>warm</b>]]></g:description>
</item>
<item><g:id>S-2</g:id><title>Socks</title><g:price>1.299 EUR</g:price></item>
<item><title>nobody</title></item>
</channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0">
<title>t</title><entry>
<g:id>S-1</g:id><title>Boots</title><link href="http://shop.example/1"/><g:price>5 USD</g:price>
</entry></feed>"""


def test_a_merchant_feed_gives_its_items(tmp_path):
    products, faults = products_of(tmp_path, RSS)
    assert products["S-1"] == {
        "title": "Boots & laces",
        "description": "<b>warm</b>",
        "url": "http://shop.example/1",
        "price": 1299.0,
        "currency": "EUR",
        "availability": "in stock",
        "additional_image_link": ["a.jpg", "b.jpg"],
        "shipping.country": "DE",
        "shipping.price": 4.9,
    }
    assert products["S-2"]["price"] == 1.299  # Google's decimal sign is a point
    assert [(fault.line, fault.reason) for fault in faults] == [(13, "id.missing")]


def test_an_atom_feed_has_its_links_in_attributes(tmp_path):
    assert products_of(tmp_path, ATOM.encode("utf-16"))[0] == {
        "S-1": {"title": "Boots", "url": "http://shop.example/1", "price": 5, "currency": "USD"}
    }


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
SECRET = Path(__file__).as_uri()


@pytest.mark.parametrize(
    "kind",
    [
        f'<!DOCTYPE rss [<!ENTITY l0 "ha">{LAUGHS}]>',
        f'<!DOCTYPE rss [<!ENTITY l9 SYSTEM "{SECRET}">]>',
        f'<!DOCTYPE rss [<!ENTITY % p SYSTEM "{SECRET}"> %p;]>',
    ],
    ids=["billion laughs", "external", "parameter"],
)
def test_a_feed_that_declares_entities_is_refused(tmp_path, kind):
    feed = f"{kind}<rss><channel><item><id>1</id><title>&l9;</title></item></channel></rss>"
    with pytest.raises(ConfigurationError, match="declares entities of its own"):
        units_of(tmp_path, feed)


def test_a_feed_that_is_not_well_formed_ends_with_a_line_that_says_so(tmp_path):
    *units, last = units_of(tmp_path, RSS.replace("<title>nobody</title>", "<title>nobody</titel>"))
    assert [unit.values["id"] for unit in units] == ["S-1", "S-2"]
    assert last.reason == "file.damaged"
    assert "line 13" in last.fix


def test_an_item_without_end_and_markup_without_end_are_bounded(tmp_path):
    long = f"<rss><item><id>1</id><title>{'x' * 2_000_000}</title></item><item><id>2</id></item></rss>"
    assert [unit.line for unit in units_of(tmp_path, long)] == [1, 1]
    assert units_of(tmp_path, long)[0].reason == "row.too_long"
    deep = f"<rss><item>{'<a>' * 100}{'</a>' * 100}</item></rss>"
    assert units_of(tmp_path, deep)[-1].reason == "file.damaged"
    endless = f"<rss><item x='{'x' * 20_000_000}'/></rss>"
    assert units_of(tmp_path, endless)[-1].reason == "file.damaged"


def test_a_merchant_feed_with_tabs_has_a_decimal_point(tmp_path):
    feed = "id\ttitle\tlink\tprice\tavailability\tg:brand\nS-1\tBoots\thttp://x\t1.299 EUR\tin_stock\tA\n"
    assert products_of(tmp_path, feed)[0]["S-1"]["price"] == 1.299


def table(rows: int = 5) -> bytes:
    columns = {
        "sku": pa.array([f"S-{n}" for n in range(rows)]),
        "name": pa.array(["Boots"] * rows),
        "price": pa.array([Decimal("12.50")] * rows, pa.decimal128(10, 2)),
        "weight": pa.array([float("nan"), *[1.5] * (rows - 1)]),
        "made": pa.array([datetime(2026, 1, 2, tzinfo=UTC)] * rows),
        "sizes": pa.array([[40, 41]] * rows),
        "brand": pa.array([{"name": "Fells"}] * rows),
        "raw": pa.array([b"\xff" if n == 1 else b"text" for n in range(rows)]),
    }
    sink = io.BytesIO()
    parquet.write_table(pa.table(columns), sink, row_group_size=700)
    return sink.getvalue()


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "packed"])
def test_parquet_gives_its_rows_with_their_types(tmp_path, pack):
    products, faults = products_of(tmp_path, pack(table()))
    assert products["S-2"] == {
        "sku": "S-2",
        "title": "Boots",
        "price": 12.5,
        "weight": 1.5,
        "made": "2026-01-02T00:00:00+00:00",
        "sizes": [40, 41],
        "brand": "Fells",
        "raw": "text",
    }
    assert "weight" not in products["S-0"]
    assert [(fault.line, fault.column, fault.reason) for fault in faults] == [(2, "raw", "field.unsupported")]


def test_parquet_comes_from_standard_input_too(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(table())))
    with surveyed("-", ReadOptions()) as survey:
        assert [unit.values["sku"] for unit in survey.rows if isinstance(unit, FileRow)][-1] == "S-4"


def test_parquet_that_is_damaged_is_told(tmp_path):
    content = table(5000)
    assert units_of(tmp_path, content[:-100])[-1].reason == "file.damaged"
    damaged = bytearray(content)
    damaged[len(content) // 3 : len(content) // 2] = b"\xff" * (len(content) // 2 - len(content) // 3)
    assert units_of(tmp_path, bytes(damaged))[-1].reason == "file.damaged"


def test_how_far_a_parquet_file_is_read_is_known(tmp_path):
    with survey_of(tmp_path, table(5000)) as survey:
        assert list(survey.rows)
        assert survey.content.share == 1.0


SHOPIFY = """Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,Option1 Value,Variant SKU,Variant Inventory Qty,Variant Price,Variant Barcode,Image Src,Image Position,Cost per item,Status
boot,Warm boot,<p>warm</p>,Fells,Apparel > Shoes,Boots,"winter, new",true,Size,40,B-40,3,89.50,'4006381333931,http://x/1.jpg,1,20.00,active
boot,,,,,,,,,41,B-41,2,79.50,,http://x/2.jpg,2,20.00,
boot,,,,,,,,,,,,,,http://x/3.jpg,3,,
card,Gift card,,Fells,,,,true,Title,Default Title,,,10.00,,,,,active
old,Old boot,,Fells,,,,true,Title,Default Title,,,10.00,,,,,archived
boot,,,,,,,,,42,B-42,1,69.50,,,,,
"""  # noqa: E501 - as it comes


def test_the_rows_of_a_shopify_export_are_products_with_variants(tmp_path):
    products, faults = products_of(tmp_path, SHOPIFY)
    assert products["boot"] == {
        "title": "Warm boot",
        "description": "<p>warm</p>",
        "brand": "Fells",
        "category": "Apparel > Shoes",
        "type": "Boots",
        "tags": ["winter", "new"],
        "price": 79.5,
        "sku": ["B-40", "B-41"],
        "gtin": ["4006381333931"],
        "size": ["40", "41"],
        "image": "http://x/1.jpg",
        "images": ["http://x/2.jpg", "http://x/3.jpg"],
        "stock": 5,
    }
    assert products["card"] == {"title": "Gift card", "brand": "Fells", "price": 10.0}
    told = [(fault.line, fault.reason, fault.lost) for fault in faults]
    assert told == [(6, NOT_FOR_SALE, False), (7, "shopify.continued", True)]


def test_an_export_of_shopifys_newer_columns_is_one_too(tmp_path):
    export = (
        "Title,URL handle,Description,Vendor,Product category,Type,Tags,Published on online store,Status,SKU,"
        "Option1 name,Option1 value,Price,Product image URL\n"
        "Boot,boot,warm,Fells,Shoes,,,TRUE,Active,B-1,Size,40,5.00,http://x\n"
        ",boot,,,,,,,,B-2,,41,4.00,\n"
    )
    units = [unit for unit in units_of(tmp_path, export) if isinstance(unit, FileRow)]
    assert [(unit.line, unit.values["price"], unit.values["size"]) for unit in units] == [
        (2, 4.0, ["40", "41"])
    ]
