"""`headrace up --load FILE`: one's own products, as soon as there is somebody to take them."""

import asyncio
import shlex
import threading
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from services.cli import load_report
from services.cli.load import catalogue_request
from services.cli.load_view import FaultList, LoadView, show_faults
from services.loader.load import check_files, load_products
from services.loader.survey import surveyed
from shared.errors import HeadraceError
from shared.infrastructure.running import discover
from shared.settings import Settings

WORDS = 2


class CatalogueLoading:
    """Loads files beside the workers; raises what is wrong with a file before anything is started."""

    def __init__(self, files: Sequence[str], console: Console) -> None:
        self._request = catalogue_request([*files])
        self._console = console
        self._faults = FaultList(None)
        check_files(self._request)
        self.commands = (
            f"headrace search {shlex.quote(self._words(files[0]))}",
            "headrace fields",
            "headrace alerts tail",
        )

    def _words(self, name: str) -> str:
        """Return what a product of the file is called, as somebody might search for it."""
        with surveyed(name, self._request.options) as survey:
            titles = [
                mapped.column
                for mapped in survey.reading(self._request.options).columns.values()
                if mapped.field in self._request.texts
            ]
            samples = [sample for title in titles[:1] for sample in survey.profile.columns[title].samples]
        return " ".join("".join(samples[:1]).strip("…").split()[:WORDS]) or "SOMETHING"

    def start(self, settings: Settings) -> None:
        """Load in a thread of its own, which ends with the process."""
        threading.Thread(target=self._run, args=(discover(settings),), name="load", daemon=True).start()

    def _run(self, settings: Settings) -> None:
        view = LoadView(self._console, self._faults, quiet=False, texts=self._request.texts)
        try:
            with view.progress:
                report = asyncio.run(load_products(settings, self._request, view))
        except HeadraceError as error:
            self._console.print(Text(f"the catalogue is not loaded: {error}", style="bold"))
            return
        show_faults(self._console, self._faults, report.tally)
        load_report.show_load(self._console, report, view.seconds)
        if not report.unchanged:
            self._console.print("They are found as soon as they are embedded.")
