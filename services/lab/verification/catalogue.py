"""The catalogue as its changes say it is: a plain fold over the log, by the embedder's own merge."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from schemas.catalogue import Document
from services.embedder.domain.plan import hash_content, is_hash_of, merge_batch
from services.embedder.domain.state import UNKNOWN, StoredProduct
from services.embedder.settings import EmbedderSettings
from services.lab.verification.letters import Letters
from shared.catalogue.acceptances import Acceptances
from shared.catalogue.changes import ChangeReader
from shared.catalogue.texts import build_text
from shared.errors import PoisonError, SkippedError
from shared.records import Record
from shared.schema_registry.deserializer import NO_SCHEMAS, BatchSchemas


@dataclass(slots=True)
class ExpectedCatalogue:
    """What all changes read so far amount to."""

    settings: EmbedderSettings
    reader: ChangeReader = field(default_factory=ChangeReader)
    letters: Letters = field(default_factory=Letters)
    changes: int = 0
    _products: dict[str, StoredProduct] = field(default_factory=dict)

    def begin(self, acceptances: Acceptances) -> None:
        """Forget the changes read so far: they come again, and these acceptances say what they are."""
        self.reader = replace(self.reader, acceptances=acceptances)
        self.changes = 0
        self._products.clear()

    def take(self, record: Record, schemas: BatchSchemas = NO_SCHEMAS) -> None:
        """Merge one change, whatever partition it lies in; `schemas` are those that it names."""
        self.changes += 1
        try:
            change = schemas.decode(record, self.reader.read).change
            before = self._products.get(change.product_id, UNKNOWN)
            merged = merge_batch([(record.coordinates, change)], {change.product_id: before})
        except SkippedError:
            return
        except PoisonError as error:
            self.letters.refuse(record, error.reason)
            return
        for touched in merged.touched:
            self._products[touched.product_id] = StoredProduct(touched.document)

    @property
    def documents(self) -> Mapping[str, Document]:
        """Every product that exists."""
        return {
            product_id: product.document
            for product_id, product in self._products.items()
            if product.document.exists
        }

    def content_hash(self, document: Document, *, passages: int = 1) -> str:
        """Return the hash of what is embedded of a document, in so many passages."""
        return hash_content(self._text(document), self.settings.cut, passages=passages)

    def is_hash_of(self, content_hash: str, document: Document) -> bool:
        """Whether a hash says that this is what was embedded, by this or an earlier version."""
        return is_hash_of(content_hash, self._text(document), self.settings.cut)

    def _text(self, document: Document) -> str:
        return build_text(document.fields, self.settings.text)
