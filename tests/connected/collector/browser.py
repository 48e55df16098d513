"""A real Chromium without a window, and the example's shop as somebody serves it."""

import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.connected.killing import until

ROOT = Path(__file__).parents[3]
SHOP = ROOT / "deploy" / "examples" / "shop"
MISSING = shutil.which("chromium") is None or shutil.which("chromedriver") is None
DESKTOP, PHONE = (1280, 860), (390, 844)
STRANGER = "evil.example"
"""A host name that the browser takes for this machine: the origin of a page that is not the shop's."""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(directory: Path, addresses: Mapping[str, str]) -> Iterator[int]:
    """Serve the shop until the block ends, and give its port.

    `addresses` that it names become those that are here.
    """
    shutil.copytree(SHOP, directory)
    page = directory / "index.html"
    text = page.read_text("utf-8")
    for written, here in addresses.items():
        assert written in text
        text = text.replace(written, here)
    page.write_text(text, "utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Browser:
    """What a shopper does in a browser, and what she sees."""

    def __init__(self) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        for argument in (
            "--headless=new",
            "--no-sandbox",  # in a container, as root
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            f"--host-resolver-rules=MAP {STRANGER} 127.0.0.1",
        ):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = webdriver.ChromeService(shutil.which("chromedriver"))
        self._driver = webdriver.Chrome(options=options, service=service)
        self.resize(DESKTOP)

    def close(self) -> None:
        self._driver.quit()

    def resize(self, size: tuple[int, int]) -> None:
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def always(self, script: str) -> None:
        """Run a script in each page before its own."""
        self._driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})

    def open(self, url: str) -> None:
        self._driver.get(url)

    def all(self, selector: str) -> list[WebElement]:
        return self._driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        until(lambda: self.all(selector) != [], why=self.said)
        return self.all(selector)[0]

    def run(self, script: str) -> object:
        return self._driver.execute_script(script)

    def said(self) -> str:
        """Return what the page and its console say."""
        return f"{self.run('return document.body.innerText')}\n{self._driver.get_log('browser')}"

    def errors(self) -> list[str]:
        """Return what went wrong on the page since this was asked last."""
        return [entry["message"] for entry in self._driver.get_log("browser") if entry["level"] == "SEVERE"]

    def search(self, words: str) -> list[str]:
        """Type words into the shop's search, and return the products that it shows."""
        field = self.one("#q")
        field.clear()
        field.send_keys(f"{words}\n")
        until(
            lambda: self.run("return document.getElementById('heading').textContent") == words, why=self.said
        )
        self.one("#results .card")
        return self.shown()

    def shown(self) -> list[str]:
        return [card.get_attribute("data-headrace-product") or "" for card in self.all("#results .card")]

    def picture(self, file: Path) -> None:
        self._driver.save_screenshot(str(file))
