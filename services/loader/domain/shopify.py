"""A Shopify products export: several rows one after the other are one product with its variants and images.

What shoppers may see of it is taken: texts, tags, options, SKUs, prices, stock and images. What a shop keeps
to itself (cost per item, tax codes, inventory policy) stays in the file.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from services.loader.domain.columns import normal
from services.loader.domain.money import NumberError, read_number
from services.loader.domain.rows import NOT_FOR_SALE, FileRow, FileUnits, LineFault, visible

HANDLE = ("handle", "url_handle")
TEXTS: Mapping[str, tuple[str, ...]] = {
    "title": ("title",),
    "description": ("body_html", "description"),
    "brand": ("vendor",),
    "category": ("product_category", "type"),
    "type": ("type",),
}
PRICES = {
    "price": ("variant_price", "price"),
    "compare_at_price": ("variant_compare_at_price", "compare_at_price"),
}
LISTS = {"sku": ("variant_sku", "sku"), "gtin": ("variant_barcode", "barcode")}
IMAGES = ("image_src", "product_image_url")
VARIANT_IMAGES = ("variant_image", "variant_image_url")
STOCK = ("variant_inventory_qty", "inventory_quantity")
OPTIONS = (1, 2, 3)
METAFIELD = "metafields_"
HIDDEN = {"draft", "archived", "unlisted"}

_Rows = Sequence[Mapping[str, str]]


def is_export(columns: Iterable[str]) -> bool:
    """Whether these are the columns of an export of products."""
    names = set(map(normal, columns))
    return bool(names & set(HANDLE)) and {"title", "vendor", "option1_name"} <= names


def merged(units: FileUnits) -> FileUnits:
    """Yield a row for each product, as of its first line."""
    for handle, group in groupby(_named(units), key=lambda pair: pair[0]):
        if handle is None:
            yield from (unit for _, unit in group)
            continue
        rows = [unit for _, unit in group if isinstance(unit, FileRow)]
        yield _product(rows[0].line, handle, [{normal(k): v for k, v in row.values.items()} for row in rows])


def _named(units: FileUnits) -> Iterator[tuple[str | None, FileRow | LineFault]]:
    """Yield each row with its product's handle; None: it has none, or is no row."""
    for unit in units:
        handle = ""
        if isinstance(unit, FileRow):
            values = (value for column, value in unit.values.items() if normal(column) in HANDLE)
            handle = next(values, "").strip()
        yield handle or None, unit


def _product(line: int, handle: str, rows: _Rows) -> FileRow | LineFault:
    first = rows[0]
    if not _value(first, ("title",)):
        fix = (
            "the row goes on with a product whose first row, with its title, is not before it: sort by handle"
        )
        return LineFault(line, "shopify.continued", fix, value=visible(handle))
    published = _value(first, ("published", "published_on_online_store")).lower()
    if _value(first, ("status",)).lower() in HIDDEN or published == "false":
        return LineFault(
            line, NOT_FOR_SALE, "draft, archived or not published", value=visible(handle), lost=False
        )
    product: dict[str, Any] = {"id": handle}
    product |= {name: _value(first, columns) for name, columns in TEXTS.items()}
    product["tags"] = [tag for part in _value(first, ("tags",)).split(",") if (tag := part.strip())]
    product |= {name: _lowest(_values(rows, columns)) for name, columns in PRICES.items()}
    product |= {name: _list(_values(rows, columns)) for name, columns in LISTS.items()}
    product |= _options(rows)
    images = list(dict.fromkeys([*_values(rows, IMAGES), *_values(rows, VARIANT_IMAGES)]))
    product |= {"image": images[0] if images else "", "images": images[1:]}
    product["stock"] = _sum(_values(rows, STOCK))
    product |= {name: value for name, value in first.items() if METAFIELD in name}
    return FileRow(line, {name: value for name, value in product.items() if value not in ("", [], None)})


def _options(rows: _Rows) -> dict[str, list[str]]:
    """Return the values of each option under its name: `size: [S, M]`; Shopify's placeholder is none."""
    options = {}
    for number in OPTIONS:
        name = _value(rows[0], (f"option{number}_name",))
        values = list(dict.fromkeys(_values(rows, (f"option{number}_value",))))
        if name and values and (name, values) != ("Title", ["Default Title"]):
            options[name.lower()] = values
    return options


def _lowest(texts: Sequence[str]) -> float | int | str | None:
    """Return the lowest price; what is none stays as it is, for the reader to tell."""
    prices = []
    for text in texts:
        try:
            prices.append(read_number(text, "."))
        except NumberError:
            return text
    return min(prices, default=None)


def _sum(texts: Sequence[str]) -> int | float | str | None:
    try:
        numbers = [read_number(text, ".") for text in texts]
    except NumberError:
        return texts[0]
    return sum(numbers) if numbers else None


def _list(texts: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(text.lstrip("'") for text in texts))


def _values(rows: _Rows, columns: Sequence[str]) -> list[str]:
    return [value for row in rows if (value := _value(row, columns))]


def _value(row: Mapping[str, str], columns: Sequence[str]) -> str:
    return next((value for column in columns if (value := row.get(column, "").strip())), "")
