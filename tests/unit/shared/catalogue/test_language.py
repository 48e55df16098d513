import pytest

from shared.catalogue.language import LanguageDetector, declared, detector


@pytest.fixture(scope="module")
def languages() -> LanguageDetector:
    return detector("language")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Schwarzer Ledergürtel für Herren", "de"),
        ("Zapatillas de correr para mujer", "es"),
        ("Trail running shoe, women", "en"),
        ("無線ノイズキャンセリングヘッドホン黒", "ja"),
        ("无线降噪耳机黑色", "zh"),
        ("หูฟังไร้สายตัดเสียงรบกวน", "th"),
        ("Nike Air Max 90", ""),
        ("WH-1000XM4", ""),
        ("", ""),
    ],
)
def test_a_text_says_its_language_where_it_is_clear(
    languages: LanguageDetector, text: str, language: str
) -> None:
    assert languages({}, text) == language


def test_what_the_product_says_comes_first(languages: LanguageDetector) -> None:
    assert languages({"language": "de_at"}, "Trail running shoe, women") == "de-AT"
    assert languages({"language": "German"}, "Trail running shoe, women") == "en"


@pytest.mark.parametrize(
    ("value", "tag"),
    [
        ("de", "de"),
        ("EN-us", "en-US"),
        ("zh_hant_TW", "zh-Hant-TW"),
        (("fr", "de"), "fr"),
        ("german", ""),
        (None, ""),
        (7, ""),
        ("de-", ""),
    ],
)
def test_a_declared_language_is_a_tag_as_it_is_written(value: object, tag: str) -> None:
    assert declared(value) == tag
