"""The model's card: what it is, where it comes from and how good it is, for people."""

from collections.abc import Mapping, Sequence

from schemas.control import Model
from services.trainer.domain.dataset import Manifest
from services.trainer.domain.verdict import Compared

CARD = "MODEL.md"
LIMITS = (
    "It was fitted to this shop's shoppers, products and language, and says little about others. What nobody "
    "judged counts as irrelevant, except in the condensed and judged-only figures. Threshold and weight are "
    "those of this model in whole vectors; another model, code or catalogue needs its own."
)


def card(model: Model, manifest: Manifest, compared: Sequence[Compared]) -> str:
    """Return the card as Markdown; a function of the record, the data set and the figures."""
    parts = [
        f"# Model {model.model_id}",
        f"{model.verdict.capitalize()}. "
        + " ".join(f"{reason[:1].upper()}{reason[1:]}." for reason in model.reasons),
        _table(("", ""), _facts(model)),
        "## Data set",
        _data(manifest),
        "## Figures",
        "Beside those of the live model, on the same queries, with 95 % intervals of the difference.",
        _table(
            ("", "vectors", "live", "candidate", "difference", "queries"), [_figure(it) for it in compared]
        ),
        "## Limits",
        LIMITS,
    ]
    return "\n\n".join(parts) + "\n"


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _facts(model: Model) -> list[tuple[str, str]]:
    facts: Mapping[str, object] = {
        "kind": model.kind,
        "fingerprint": model.fingerprint,
        "fitted from": model.base_fingerprint or "",
        "dimensions": model.dimensions,
        "threshold": "" if model.threshold is None else f"{model.threshold:.4f}",
        "weight of vectors": "" if model.dense_weight is None else f"{model.dense_weight:.2f}",
        "job": model.job_id or "",
        "seed": model.seed,
        "code": model.code_version,
        "made": model.created_at.isoformat(),
    }
    return [(name, str(value)) for name, value in facts.items()]


def _data(manifest: Manifest) -> str:
    rows = [(split, str(count), _shared(manifest, split)) for split, count in sorted(manifest.counts.items())]
    ranges = ", ".join(f"{it.topic}[{it.partition}] {it.start} to {it.end}" for it in manifest.ranges)
    table = _table(("split", "pairs", "shared with train: queries, similar queries, products, pairs"), rows)
    return f"`{manifest.name}`, of generation {manifest.generation}: {ranges or 'no ranges'}.\n\n{table}"


def _shared(manifest: Manifest, split: str) -> str:
    found = {name: overlap for name, overlap in manifest.certificate.items() if name == split}
    return "".join(
        f"{it.same_query}, {it.similar_query}, {it.same_product}, {it.same_pair}" for it in found.values()
    )


def _figure(it: Compared) -> tuple[str, ...]:
    name = " ".join(word for word in (it.measure, it.ground, it.part) if word)
    difference = f"{it.difference:+.4f} ({it.low:+.4f} to {it.high:+.4f})"
    return name, it.code, f"{it.live:.4f}", f"{it.candidate:.4f}", difference, str(it.queries)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
