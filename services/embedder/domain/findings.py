"""What there is to say about a text that is embedded: it was cut, it is empty, another product has it."""

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.findings import TEXT, CatalogueFindings, Finding
from services.embedder.domain.plan import Planned
from services.embedder.domain.state import NOTHING, Embedding


@dataclass(frozen=True, slots=True)
class Twin:
    """Another product whose text is equal, or nearly; of an equal one, its vectors if it has them."""

    product_id: str
    similarity: float = 1.0
    is_equal: bool = True
    embedding: Embedding = NOTHING


def text_findings(
    planned: Planned, twin: Twin | None, *, generation: str, of_cut_alone: bool
) -> CatalogueFindings | None:
    """Return the findings of a text that is embedded now; None: it was before, or there is nothing to say.

    How it was cut depends on the model, so each generation says it; the rest is for one of them to say.
    """
    if planned.kept is not None:
        return None
    findings = list(_of_cut(planned))
    if not of_cut_alone:
        findings += _of_text(planned, twin)
    if not findings:
        return None
    touched = planned.touched
    return CatalogueFindings(
        product_id=touched.product_id,
        source=touched.source,
        findings=tuple(findings),
        total=len(findings),
        time=touched.event_time,
        generation=generation,
        content_hash=planned.content_hash,
    )


def _of_cut(planned: Planned) -> Iterator[Finding]:
    if planned.cut.left_out:
        yield _finding(
            "text.passages",
            f"{len(planned.cut.spans)} passages are embedded, the last {planned.cut.left_out} characters are "
            "not: raise `embedder.passages`, or embed shorter attributes",
        )


def _of_text(planned: Planned, twin: Twin | None) -> Iterator[Finding]:
    if planned.left_out:
        yield _finding(
            "text.cut", f"its last {planned.left_out} bytes are too many: embed shorter attributes"
        )
    if not planned.cut.spans:
        yield _finding(
            "text.empty",
            "no vector finds it, only its other words: send what `embedder.text` names, or have it name more",
        )
    if twin is not None and twin.is_equal:
        yield _finding("text.duplicate", "another product has the same text: is it one?", twin)
    elif twin is not None:
        yield _finding("text.near_duplicate", "another product has nearly the same words: is it one?", twin)


def _finding(reason: str, explanation: str, twin: Twin | None = None) -> Finding:
    other, similarity = (None, None) if twin is None else (twin.product_id, round(twin.similarity, 3))
    return Finding(attribute=TEXT, reason=reason, explanation=explanation, other=other, similarity=similarity)
