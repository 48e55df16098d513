"""How products and queries become words for BM25, in a Tantivy index with the fields `title` and `body`."""

from typing import Any

import tantivy
from tantivy import Filter, Occur, Query

TOKENIZER = "product"
"""The name that an index knows the analyser by."""
MAX_QUERY_TOKENS = 64


def add_fields(builder: Any) -> None:  # Any: tantivy has no types for mypy, here and below
    """Add the two text fields to a schema that is being built."""
    for name in ("title", "body"):
        builder.add_text_field(name, tokenizer_name=TOKENIZER, index_option="freq")


def analyzer() -> Any:
    """Return what cuts a text into words, lower-case, without accents, stemmed as English."""
    chain = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    for step in (
        Filter.remove_long(64),
        Filter.lowercase(),
        Filter.ascii_fold(),
        Filter.stemmer("english"),
    ):
        chain = chain.filter(step)
    return chain.build()


def words_query(schema: Any, tokens: list[str], *, title_boost: float) -> Any:
    """Return the query for products with any of a text's words; None when it has none."""
    clauses = []
    for token in list(dict.fromkeys(tokens))[:MAX_QUERY_TOKENS]:
        title = Query.term_query(schema, "title", token, "freq")
        clauses += [
            (Occur.Should, Query.boost_query(title, title_boost)),
            (Occur.Should, Query.term_query(schema, "body", token, "freq")),
        ]
    return Query.boolean_query(clauses) if clauses else None
