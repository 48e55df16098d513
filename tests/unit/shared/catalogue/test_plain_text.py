import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.catalogue.plain_text import plain_text

SHOPIFY = (
    '<meta charset="utf-8">\n<p>It is the small iPod with a <strong>big</strong> idea: Video.</p>'
    '<table class="specs"><tr><td>Screen</td><td>2 inch</td></tr><tr><td>Colour</td><td>red</td></tr></table>'
    '<img src="http://cdn.example.com/s/files/1/ipod-nano.png?0"><style>p { color: red }</style>'
    "<script>track('<p>no</p>')</script><p>Lemon Oil &ndash; cleanses &amp; cools</p>"
)


def test_of_a_description_in_html_the_words_are_left_a_paragraph_a_line() -> None:
    assert plain_text(SHOPIFY).splitlines() == [
        "It is the small iPod with a big idea: Video.",
        "Screen 2 inch",
        "Colour red",
        "Lemon Oil – cleanses & cools",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "5 < 6",
        "a<b>c",
        "x<y, y>z",
        "C++ <vector> book",
        "I <3 tea & you",
        "<b>unclosed title",
        "AT&T R&D &region",
        "Node.js sticker 5.1 // WH-1000XM4",
        "contact us @ the shop",
    ],
)
def test_what_is_no_markup_and_no_address_stays(text: str) -> None:
    assert plain_text(text) == text


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("ＳＯＮＹ　ＣＡＭＥＲＡ　Ａ７", "SONY CAMERA A7"),
        ("Hand\u00adtuch\u200b weiß", "Handtuch weiß"),
        ("Gore-Tex™ jacket", "Gore-Tex jacket"),
        ("hose 1½ inch, ½ inch", "hose 1 1/2 inch, 1/2 inch"),
        ("a\x00\tb\u00a0 c\r\n\n\n d", "a b c\nd"),
        ("see https://a.de/x.html?q=1 or mail me@shop.co.uk now", "see or mail now"),
        ("详见https://x.com/a的说明", "详见 的说明"),
        ("http://cdn.example.com/ipod-nano.png?0", ""),
        ("//cdn.example.com/ipod", ""),
        ("images/ipod-nano.jpg", ""),
        ("mailto:me@shop.de", ""),
        ("Tom &amp; Jerry", "Tom & Jerry"),
        ("Tom &amp;amp; Jerry", "Tom & Jerry"),
        ("&lt;p&gt;warm&lt;/p&gt; sock", "warm\nsock"),
        ("warm<br>x<y and 3 < 4", "warm\nx<y and 3 < 4"),
        ("<ul><li>one<li>two</ul>", "one\ntwo"),
        ("<o:p></o:p>by <b>Word</b>", "by Word"),
        ("<p>a\nb</p><!-- no -->", "a b"),
        ("<p></p>", ""),
    ],
)
def test_a_value_is_what_it_says_in_words(value: str, words: str) -> None:
    assert plain_text(value) == words


PARTS = st.sampled_from(
    [
        "<p>",
        "</p>",
        "<b>",
        "</b>",
        "<br/>",
        "<",
        ">",
        "&lt;",
        "&amp;",
        "&",
        "//",
        "www.",
        "@",
        ".png",
        "½",
        "Ａ",
    ]
)


@given(st.lists(PARTS | st.text(max_size=5), max_size=12).map("".join))
def test_doing_it_twice_changes_nothing_more(value: str) -> None:
    words = plain_text(value)
    assert plain_text(words) == words


@pytest.mark.parametrize(
    "value",
    ["<div>" * 6000, "<" * 32_000, "&" + "amp;" * 8000, "a@a." * 8000, "a." * 16_000 + "png", "<b " * 9000],
)
def test_a_hostile_value_is_read_to_its_end(value: str) -> None:
    assert len(plain_text(value)) <= len(value)
