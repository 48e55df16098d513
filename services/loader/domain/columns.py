"""What the columns of a file are: which fields of a product they hold, and how often each is filled."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from services.loader.domain.money import decimal_of
from services.loader.domain.rows import FileRow, visible
from services.loader.request import ReadOptions
from shared.errors import ConfigurationError

Kind = Literal["text", "number", "price", "digits"]
"""`digits`: so far all of its texts were numbers as JSON has them; one that is none stays a text."""

_LIKELY = {
    "id": (
        "id product_id productid item_id offer_id sku variant_sku asin article_number "
        "artikelnummer artikel_nr handle url_handle uid code external_id reference mpn gtin ean"
    ),
    "title": (
        "title name product_name product_title productname item_name titel bezeichnung "
        "produktname artikelname nom nombre titre titulo naam label"
    ),
    "description": (
        "description long_description product_description body_html body beschreibung "
        "produktbeschreibung short_description descripcion desc details summary content"
    ),
    "brand": "brand brand_name vendor manufacturer marke hersteller marque marca merk",
    "category": (
        "category categories product_category product_type google_product_category category_name "
        "kategorie warengruppe categorie categoria department type taxonomy"
    ),
    "price": (
        "price unit_price current_price variant_price regular_price price_amount price_value "
        "preis vk_preis prix precio prezzo prijs"
    ),
    "currency": "currency currency_code price_currency waehrung devise moneda",
    "sale_price": "sale_price special_price offer_price angebotspreis",
    "url": "url link product_url permalink product_link deeplink href",
    "image": ("image image_link image_url image_src product_image_url main_image picture img bild thumbnail"),
    "color": "color colour farbe couleur colore",
    "size": "size groesse taille talla",
    "availability": "availability in_stock stock_status verfuegbarkeit",
    "stock": "stock quantity qty inventory stock_quantity bestand lagerbestand",
    "rating": "rating stars average_rating avg_rating review_rating",
    "rating_count": "rating_count review_count reviews num_reviews number_of_reviews",
    "gtin": "gtin ean upc barcode isbn variant_barcode",
    "language": "language lang content_language sprache",
}
NAMES = {field: tuple(names.split()) for field, names in _LIKELY.items()}
"""What shops call a field, likelier names first."""
FIRST = ("id", "title", "description", "brand", "category", "price", "currency", "url", "image")
"""The fields that a table of columns begins with."""
KINDS: Mapping[str, Kind] = {
    "price": "price",
    "sale_price": "price",
    "stock": "number",
    "rating": "number",
    "rating_count": "number",
}
CODE = re.compile(
    r"(?:^|_)(?:id|sku|gtin|ean|upc|isbn|mpn|barcode|code|number|nr|no|zip|phone|asin|handle)(?:_|$)"
)
"""Names of what has digits and is no number."""
IDENTITIES = {"id", "product_id"}
"""Columns that are the id and nothing beside it; a SKU or a handle is a field too."""
PLAIN = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d+)?")
SAMPLES = 3
MOST_COLUMNS = 1000
UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})


@dataclass(slots=True)
class ColumnProfile:
    """What was seen of one column."""

    filled: int = 0
    plain: int = 0
    """Texts among them that are a number as JSON has it."""
    texts: int = 0
    samples: list[str] = field(default_factory=list)
    decimals: set[str] = field(default_factory=set)
    """Decimal separators that its texts must have."""


@dataclass(slots=True)
class Profile:
    """What was seen of the columns of so many rows."""

    rows: int = 0
    columns: dict[str, ColumnProfile] = field(default_factory=dict)

    def add(self, row: FileRow) -> None:
        """Look at one more row."""
        self.rows += 1
        for name, value in row.values.items():
            if type(value) is dict:
                for inner, content in value.items():
                    self._add(f"{name}.{inner}", content)
            else:
                self._add(name, value)

    def _add(self, name: str, value: Any) -> None:  # Any: whatever the format has
        seen = self.columns.get(name)
        if seen is None:
            if len(self.columns) >= MOST_COLUMNS:
                return
            seen = self.columns[name] = ColumnProfile()
        if value is None or value in ("", []):
            return
        seen.filled += 1
        if type(value) is str:
            seen.texts += 1
            text = value.strip()
            seen.plain += PLAIN.fullmatch(text) is not None
            if len(text) <= 24 and (mark := decimal_of(text)):
                seen.decimals.add(mark)
        if len(seen.samples) < SAMPLES and (sample := visible(value, 24)) not in seen.samples:
            seen.samples.append(sample)


@dataclass(frozen=True, slots=True)
class Mapped:
    """A column, the field that it becomes, and what its values are."""

    column: str
    field: str
    kind: Kind = "text"


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """How rows become products. It is kept with a load that goes on, so that it goes on alike."""

    id_column: str
    columns: Mapping[str, Mapped]
    decimal: str = ""
    """The decimal separator where a price has one separator only; empty: prices do not say."""
    currency: str = ""
    """Of prices that state none, or one that several countries use."""
    typed: bool = False
    """The format tells numbers from texts, and means the spaces around a text."""


def reading_of(
    profile: Profile, options: ReadOptions, *, decimal: str = "", typed: bool = False
) -> FieldMapping:
    """Return how to read rows of such columns, by what was said and else by their names.

    `decimal` and `typed` are what the format says; see `FieldMapping`. Raises `ConfigurationError` for want
    of such a column, or of one that can be the id.
    """
    known, said, id_column = list(profile.columns), options.fields, options.id_column
    for column in (*said.values(), *([id_column] if id_column else ())):
        if column and column not in profile.columns:
            raise ConfigurationError(f"there is no column {visible(column)!r}: {listed(known)}")
    ids = id_column or said.get("id") or _first_of("id", known)
    if not ids:
        raise ConfigurationError(
            f"no column is known to be the id: name it with --id COLUMN; {listed(known)}"
        )
    fields = _fields(known, said, ids)
    columns = {}
    for column, seen in profile.columns.items():
        if column == ids and normal(ids) in IDENTITIES:
            continue
        name = fields.get(column) or (f"{column}_column" if column in fields.values() else column)
        columns[column] = Mapped(column, name, _kind(name, seen, typed))
    prices = [seen for column, seen in profile.columns.items() if _is_price(columns.get(column))]
    marks = set[str]().union(*(seen.decimals for seen in prices))
    decimal = options.decimal or decimal or (marks.pop() if len(marks) == 1 else "")
    return FieldMapping(ids, columns, decimal, options.currency, typed)


def listed(columns: Sequence[str]) -> str:
    """Name the columns of a file."""
    names = ", ".join(visible(column, 30) for column in columns[:40])
    return f"its columns are {names}" if names else "it has no columns"


def normal(name: str) -> str:
    """Return a column's name as names are compared: `g:Image Link` is `image_link`."""
    text = name.strip().lower().translate(UMLAUTS).removeprefix("g:")
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^0-9a-z]+", "_", plain).strip("_")


def _fields(columns: Sequence[str], said: Mapping[str, str], ids: str) -> dict[str, str]:
    """Return the field of each column that has one: what was said, then the likeliest name."""
    fields = {column: name for name, column in said.items() if column and name != "id"}
    taken = set(said) | {"id"}
    for name in NAMES:
        column = "" if name in taken else _first_of(name, [one for one in columns if one not in fields])
        if column and column != ids:
            fields[column] = name
    return fields


def _first_of(name: str, columns: Sequence[str]) -> str:
    """Return the column whose name is the likeliest for a field; empty: none."""
    by_name = {normal(column): column for column in reversed(columns)}
    return next((by_name[likely] for likely in NAMES[name] if likely in by_name), "")


def _kind(name: str, seen: ColumnProfile, typed: bool) -> Kind:
    plain = normal(name)
    if plain in KINDS:
        return KINDS[plain]
    if plain.endswith("_price") or plain.startswith("price_"):
        return "price"
    all_numbers = seen.texts > 0 and seen.plain == seen.texts
    return "digits" if not typed and all_numbers and not CODE.search(plain) else "text"


def _is_price(mapped: Mapped | None) -> bool:
    return mapped is not None and mapped.kind == "price"
