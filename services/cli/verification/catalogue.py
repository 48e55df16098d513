"""The catalogue as its changes say it is: a plain fold over the log, by the embedder's own merge."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from schemas.catalogue import Document
from services.cli.verification.letters import Letters
from services.embedder.domain.plan import hash_content, merge_batch
from services.embedder.domain.state import UNKNOWN, Product
from services.embedder.settings import EmbedderSettings
from shared.changes import reading_of
from shared.documents import EMPTY, join
from shared.errors import PoisonError
from shared.records import Record
from shared.texts import build_text


@dataclass(slots=True)
class Catalogue:
    """What all changes read so far amount to."""

    settings: EmbedderSettings
    letters: Letters = field(default_factory=Letters)
    changes: int = 0
    _products: dict[str, dict[int, Product]] = field(default_factory=dict)
    """By product, and by the partition that said it (one, unless its producers disagree on the key)."""

    def take(self, record: Record) -> None:
        """Merge one change, in log order within its partition."""
        self.changes += 1
        try:
            change = reading_of(record).change
            known = self._products.get(change.product_id, {}).get(record.partition.number, UNKNOWN)
            merged = merge_batch([(record.coordinates, change)], {change.product_id: known})
        except PoisonError as error:
            self.letters.refuse(record, error.reason)
            return
        for touched in merged.touched:
            sides = self._products.setdefault(touched.product_id, {})
            sides[record.partition.number] = Product(touched.document)

    @property
    def torn(self) -> int:
        """How many products are written in more than one partition; their changes have no common order."""
        return sum(len(sides) > 1 for sides in self._products.values())

    @property
    def documents(self) -> Mapping[str, Document]:
        """Every product that exists."""
        return {product_id: document for product_id, document in self._merged() if document.exists}

    def content_hash(self, document: Document) -> str:
        """Return the hash of what is embedded of a document."""
        return hash_content(build_text(document.fields, self.settings.text), self.settings.cut)

    def _merged(self) -> Iterator[tuple[str, Document]]:
        for product_id, sides in self._products.items():
            document = EMPTY
            for side in sides.values():
                document = join(document, side.document) if len(sides) > 1 else side.document
            yield product_id, document
