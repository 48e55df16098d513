"""Every block of a page that a reader may type is typed by a test, word for word."""

import re

import pytest

from tests.architecture.pages import PAGES, ROOT, name, sections

TYPED_BY = {
    "README.md": "tests/connected/test_readme_blocks.py",
    "docs/quickstart.md": "tests/connected/test_quickstart_page.py",
    "docs/search-engineer.md": "tests/connected/test_search_engineer_page.py",
    "docs/data-scientist.md": "tests/connected/test_data_scientist_page.py",
    "docs/databases.md": "tests/connected/databases/pages.py",
    "docs/web-shop.md": "tests/connected/collector/test_page.py",
}
WHOLE = {"docs/databases.md", "docs/quickstart.md", "docs/web-shop.md"}
"""Pages of which the test takes every block."""
TO_TYPE = {"sh", "python", "sql", "properties", "html", "javascript"}
SHOWN = [page for page in PAGES if "decisions" not in page.parts]


@pytest.mark.parametrize("page", SHOWN, ids=name)
def test_every_block_is_typed_by_the_test_of_its_page(page):
    wanted = {heading for heading, languages in sections(page) if languages & TO_TYPE}
    if not wanted or name(page) in WHOLE:
        return
    test = (ROOT / TYPED_BY[name(page)]).read_text("utf-8")
    assert wanted <= set(re.findall(r'"([^"]*)"', test)), f"{TYPED_BY[name(page)]} names each heading"
