"""The model's card: what it is, where it comes from and how good it is, for people."""

from collections.abc import Mapping, Sequence

from schemas.control import Model
from services.trainer.dataset.domain.dataset import DatasetManifest, Overlap
from services.trainer.evaluation.domain.figures import MetricComparison

CARD = "MODEL.md"
FIGURES = (
    "Beside those of the live model, on the same queries, with 95 % intervals of the difference. Rows by "
    "hybrid are the pages that search answers with, words and vectors fused: they decide. The others are "
    "vectors alone, in so many dimensions and a precision. Shown is the share of both models' first pages "
    "that shoppers were ever shown. What nobody graded is left out of "
    "condensed nDCG@10 and bpref; it is as bad for the candidate as it can be in the pessimistic figure, as "
    "good in the optimistic one, and counts as irrelevant in all others, which are unfair to what finds new "
    "products."
)
LIMITS = (
    "It was fitted to this shop's shoppers, products and language, and says little about others. Threshold "
    "and weight are those of this model in whole vectors; another model, code or catalogue needs its own. "
    "Pages are computed from the data set's products, without the losses of an approximate index."
)


NEARLY_ALL = 0.95
"""Of the live model's first pages: shoppers saw them, so less says that they are computed wrong here."""


def card(
    model: Model,
    manifest: DatasetManifest,
    compared: Sequence[MetricComparison],
    *,
    live_weight: float | None = None,
) -> str:
    """Return the card as Markdown; a function of the record, the data set and the figures.

    `live_weight` is that of vectors in the live model's pages.
    """
    parts = [
        f"# Model {model.model_id}",
        _sentence(": ".join((model.verdict, *model.reasons[:1]))),
        " ".join(_sentence(words) for words in model.reasons[1:]),
        _table(("", ""), _facts(model, live_weight)),
        "## Data set",
        _data(manifest),
        "## Figures",
        FIGURES,
        _doubt(compared),
        _table(
            ("", "by", "live", "candidate", "difference", "queries", "shown: live, candidate"),
            [_figure(comparison) for comparison in compared],
        ),
        "## Limits",
        LIMITS,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def _doubt(compared: Sequence[MetricComparison]) -> str:
    """Return a sentence where even the live model's own pages, as they are computed, were not all shown."""
    live = next((comparison.shown[0] for comparison in compared), 1.0)
    if live >= NEARLY_ALL:
        return ""
    return (
        f"Of the live model's own first pages, as computed here, shoppers were shown {live:.0%}, "
        "and nearly all is expected: catalogue or model have changed since, or search answers in another way "
        "than the trainer's settings say (search.fusion, shards.lexical, trainer.mode, a reranker). Until "
        "that is mended, hardly anything is admitted at once."
    )


def _facts(model: Model, live_weight: float | None) -> list[tuple[str, str]]:
    facts: Mapping[str, object] = {
        "kind": model.kind,
        "fingerprint": model.fingerprint,
        "fitted from": model.base_fingerprint or "",
        "dimensions": model.dimensions,
        "threshold": "" if model.threshold is None else f"{model.threshold:.4f}",
        "weight of vectors": "" if model.dense_weight is None else f"{model.dense_weight:.2f}",
        "weight of vectors, live model": "" if live_weight is None else f"{live_weight:.2f}",
        "job": model.job_id or "",
        "seed": model.seed,
        "code": model.code_version,
        "made": model.created_at.isoformat(),
    }
    return [(name, str(value)) for name, value in facts.items()]


def _data(manifest: DatasetManifest) -> str:
    shared = {split: _shared(overlap) for split, overlap in manifest.certificate.items()}
    rows = [(split, str(count), shared.get(split, "")) for split, count in sorted(manifest.counts.items())]
    ranges = ", ".join(
        f"{offsets.topic}[{offsets.partition}] {offsets.start} to {offsets.end}"
        for offsets in manifest.ranges
    )
    table = _table(("split", "pairs", "shared with train: queries, similar queries, products, pairs"), rows)
    return f"`{manifest.name}`, of generation {manifest.generation}: {ranges or 'no ranges'}.\n\n{table}"


def _shared(overlap: Overlap) -> str:
    counts = (overlap.same_query, overlap.similar_query, overlap.same_product, overlap.same_pair)
    return ", ".join(map(str, counts))


def _figure(comparison: MetricComparison) -> tuple[str, ...]:
    interval = f"({comparison.low:+.4f} to {comparison.high:+.4f})"
    return (
        comparison.name,
        comparison.code,
        f"{comparison.live:.4f}",
        f"{comparison.candidate:.4f}",
        f"{comparison.difference:+.4f} {interval}",
        str(comparison.queries),
        ", ".join(f"{share:.0%}" for share in comparison.shown),
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
