"""Query text to vector: the model, and the vectors of the queries asked before."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

import structlog

from shared.arrays import Vectors
from shared.catalogue.plain_text import normal_form
from shared.encoder.batcher import CoalescingEncoder
from shared.errors import FatalError
from shared.ports import Encoder

log = structlog.get_logger()


class QueryVectors:
    """Embeds queries; the model is loaded in a thread after the start, and the last queries are remembered.

    The cache is keyed by fingerprint and text, so that a vector never outlives its model.
    """

    def __init__(self, load: Callable[[], Encoder], *, remember: int) -> None:
        self._load = load
        self._remember = remember
        self._cache: OrderedDict[tuple[str, str], Vectors] = OrderedDict()
        self._encoder: CoalescingEncoder | None = None
        self._loading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to load the model; lexical searches are answered meanwhile."""
        self._loading = asyncio.create_task(self._prepare(), name="model")

    async def stop(self) -> None:
        """Stop embedding."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)
        if self._encoder is not None:
            await self._encoder.stop()

    async def wait(self) -> None:
        """Raise what kept the model from loading; else return when stopped."""
        if self._loading is not None:
            await asyncio.shield(self._loading)
        await asyncio.get_running_loop().create_future()

    def missing(self) -> str | None:
        """Return why queries cannot be embedded yet; None when they can."""
        return None if self._encoder else "the model is still being loaded"

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the model that is loaded."""
        return self._ready().fingerprint

    async def of(self, text: str) -> Vectors:
        """Return the unit vector of a query; raises `TransientError` when too many wait."""
        encoder, text = self._ready(), normal_form(text)
        key = (encoder.fingerprint, text)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        vector = await encoder.encode_query(text)
        self._cache[key] = vector
        while len(self._cache) > self._remember:
            self._cache.popitem(last=False)
        return vector

    async def _prepare(self) -> None:
        encoder = CoalescingEncoder(await asyncio.to_thread(self._load))
        await encoder.start()
        await encoder.encode_query("warm up")  # the first pass of a model is slow
        self._encoder = encoder
        log.info("model.loaded", fingerprint=encoder.fingerprint, dimensions=encoder.dimensions)

    def _ready(self) -> CoalescingEncoder:
        if self._encoder is None:
            raise FatalError("the model was used before it was loaded")
        return self._encoder
