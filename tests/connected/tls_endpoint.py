"""TLS in front of a server that speaks none, as stunnel gives it: what comes in is passed on as it is."""

import asyncio
import ssl
import threading
from contextlib import suppress
from pathlib import Path

from shared.infrastructure.process import free_port


class TlsEndpoint:
    """Listens on 127.0.0.1 with a certificate (and its key, in one file) and passes on to a port."""

    def __init__(self, keystore: Path, port: int) -> None:
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(keystore)
        self._behind = port
        self.port = free_port()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tls")

    def start(self) -> None:
        """Listen, in a thread."""
        self._thread.start()
        listening = asyncio.start_server(self._pass_on, "127.0.0.1", self.port, ssl=self._context)
        asyncio.run_coroutine_threadsafe(listening, self._loop).result()

    def stop(self) -> None:
        """Close every connection; one that was never started has none."""
        if not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _pass_on(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        server, request = await asyncio.open_connection("127.0.0.1", self._behind)
        with suppress(OSError):
            await asyncio.gather(_copy(client, request), _copy(server, answer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()
