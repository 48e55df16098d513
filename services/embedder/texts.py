"""Which product has which text: so that an equal one is not embedded again, and a near one is told.

A table in Redis, of one generation: by the content hash of a text, and by the bands of its words, the product
that had it last. It only says where to look. What is found is compared with the product as it is stored, hash
and fingerprint, so a wrong vector cannot come from it, whatever was lost, overwritten or moved.

The table has so many places and no more; a later text takes the place of an earlier one. It fills up again
after it was lost: until then a text may be embedded once more, and a near duplicate be missed.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from redis.asyncio import Redis

from services.embedder.domain.findings import Twin
from services.embedder.domain.plan import EmbeddingRecipe, Planned
from services.embedder.domain.state import unpack_embedding, unpack_product
from services.embedder.store import DOCUMENTS, EMBEDDINGS
from shared.catalogue.near_duplicates import jaccard
from shared.catalogue.product_identity import OVERLAP
from shared.catalogue.signatures import bands
from shared.catalogue.texts import build_text
from shared.catalogue.words import words_of
from shared.generations.homes import home_keys
from shared.kafka.partitioning import partition_of
from shared.state.redis import text as decoded
from shared.state.redis import transient

PLACES = 1 << 19
"""A text takes five: one for its hash, four for its words. All of them are 26 MB."""
GROUPS = 16
"""Redis hashes that they are in, so that a cluster shares them."""
LEAST_WORDS = 4
"""Fewer words are nearly the same as too many others."""

Field = bytes | bytearray | memoryview | str | int | float
"""What redis-py takes for one."""


class _Place(NamedTuple):
    group: int
    name: str

    @classmethod
    def of(cls, number: int) -> "_Place":
        return cls(number % GROUPS, str(number % PLACES // GROUPS))


@dataclass(slots=True)
class _Text:
    """A text that is to be embedded, and the products that may have the same, or nearly."""

    planned: Planned
    words: frozenset[str] = field(init=False)
    place: _Place = field(init=False)
    near_places: tuple[_Place, ...] = field(init=False)
    same: str = ""
    similar: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        words = _words(self.planned.text)
        self.words = words if len(words) >= LEAST_WORDS else frozenset()
        self.place = _Place.of(int(self.planned.content_hash, 16))
        self.near_places = tuple(map(_Place.of, bands(self.words)))

    @property
    def places(self) -> tuple[_Place, ...]:
        return (self.place, *self.near_places)


class _Stored(NamedTuple):
    """A product as it is packed in Redis."""

    document: bytes | None
    embedding: bytes | None


class TextIndex:
    """The table of one generation, whose texts and vectors are made by the recipe."""

    def __init__(
        self, redis: Redis, namespace: str, generation: str, *, homes: int, recipe: EmbeddingRecipe
    ) -> None:
        self._redis = redis
        self._namespace = namespace
        self._generation = generation
        self._homes = homes
        self.recipe = recipe

    async def twins(self, items: Iterable[Planned]) -> dict[str, Twin]:
        """Return, for those that are to be embedded, another product with the same text, or nearly.

        From now on they are found themselves. Raises `TransientError` when Redis is away.
        """
        texts = {item.product_id: _Text(item) for item in items if item.passages}
        if not texts:
            return {}
        await self._exchange(list(texts.values()))
        candidates = {other for text in texts.values() for other in (text.same, *text.similar) if other}
        stored = await self._read(candidates - texts.keys())
        twins: dict[str, Twin] = {}
        for product_id, text in texts.items():
            twin = self._equal(text, texts, stored) or self._near(text, texts, stored)
            if twin is not None:
                twins[product_id] = twin
        return twins

    async def _exchange(self, texts: Sequence[_Text]) -> None:
        """Read who is at the places of the texts, and put their products there."""
        places: defaultdict[int, dict[Field, Field]] = defaultdict(dict)
        for text in texts:
            for place in text.places:
                places[place.group][place.name] = text.planned.product_id
        with transient():
            pipeline = self._redis.pipeline(transaction=False)
            for group, owners in places.items():
                key = _key(self._namespace, self._generation, group)
                pipeline.hmget(key, list(owners))
                pipeline.hset(key, mapping=owners)
            replies = (await pipeline.execute())[::2]
        known = {
            _Place(group, str(name)): decoded(product_id)
            for (group, owners), reply in zip(places.items(), replies, strict=True)
            for name, product_id in zip(owners, reply, strict=True)
            if product_id is not None
        }
        for text in texts:  # each finds those before it
            text.same = known.get(text.place, "")
            text.similar = tuple(known[place] for place in text.near_places if place in known)
            known.update(dict.fromkeys(text.places, text.planned.product_id))

    async def _read(self, product_ids: Iterable[str]) -> dict[str, _Stored]:
        """Return products as they are stored, whoever holds their homes."""
        homes: defaultdict[int, list[str]] = defaultdict(list)
        for product_id in product_ids:
            homes[partition_of(product_id.encode(), self._homes)].append(product_id)
        if not homes:
            return {}
        with transient():
            pipeline = self._redis.pipeline(transaction=False)
            for home, names in homes.items():
                keys = home_keys(self._namespace, self._generation, home)
                pipeline.hmget(keys.key(DOCUMENTS), names)
                pipeline.hmget(keys.key(EMBEDDINGS), names)
            replies = await pipeline.execute()
        return {
            name: _Stored(*product)
            for names, documents, embeddings in zip(homes.values(), replies[::2], replies[1::2], strict=True)
            for name, *product in zip(names, documents, embeddings, strict=True)
        }

    def _equal(self, text: _Text, texts: Mapping[str, _Text], stored: Mapping[str, _Stored]) -> Twin | None:
        """Return who has the same text: with its vectors, unless these are being made."""
        here = texts.get(text.same)
        if here is not None:
            same = here is not text and here.planned.content_hash == text.planned.content_hash
            return Twin(text.same) if same else None
        if text.same not in stored:
            return None
        embedding = unpack_embedding(stored[text.same].embedding)
        fits = text.planned.is_served_by(embedding, self.recipe.fingerprint)
        return Twin(text.same, embedding=embedding) if fits else None

    def _near(self, text: _Text, texts: Mapping[str, _Text], stored: Mapping[str, _Stored]) -> Twin | None:
        """Return who has most nearly the same words."""

        def words_of_other(product_id: str) -> frozenset[str]:
            if product_id in texts:
                return texts[product_id].words
            packed = stored[product_id].document
            fields = {} if packed is None else unpack_product(packed).document.fields
            return _words(build_text(fields, self.recipe.templates))

        others = sorted({*text.similar} - {text.planned.product_id})
        near = {other: jaccard(text.words, words_of_other(other)) for other in others}
        best = max(near, key=near.__getitem__, default="")
        return Twin(best, near[best], is_equal=False) if best and near[best] >= OVERLAP else None


async def forget(redis: Redis, namespace: str, generation: str) -> None:
    """Remove the table of a generation that was given up."""
    with transient():
        for group in range(GROUPS):
            await redis.delete(_key(namespace, generation, group))


def _key(namespace: str, generation: str, group: int) -> str:
    return f"{namespace}:{{{generation}:texts-{group}}}:owners"


def _words(text: str) -> frozenset[str]:
    return frozenset(words_of(text))
