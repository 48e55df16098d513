"""A data set as tables."""

from collections import defaultdict

from rich.table import Table
from rich.text import Text

from services.lab.terminal import Terminal
from services.trainer.dataset.domain.dataset import (
    SPLITS,
    Dataset,
    DatasetManifest,
    Overlap,
    Split,
    TrainingPair,
)
from services.trainer.dataset.domain.leakage import PROMISED

WIDEST = 44
"""Characters of a text in a table."""
OVERLAPS = tuple(Overlap.model_fields)


def show(dataset: Dataset, *, examples: int) -> None:
    """Print splits, certificate, what was left out, and a few pairs of each split."""
    console = Terminal(highlight=False)
    manifest = dataset.manifest
    read = ", ".join(f"{number:,} of {topic}" for topic, number in manifest.records.items())
    built = f": built from {read} messages; code {manifest.code_version}"
    console.print(Text.assemble((manifest.name, "bold"), built))
    console.print(_splits(dataset))
    console.print(_certificate(manifest))
    if manifest.removed:
        console.print(_removed(manifest))
    console.print(_examples(dataset, examples))


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def _splits(dataset: Dataset) -> Table:
    others = sum(len(row.product_ids) for row in dataset.shown)
    random = sum(negative.difficulty == "random" for negative in dataset.negatives)
    title = (
        f"{len(dataset.products):,} products, {len(dataset.negatives) - random:,} hard and {random:,} random "
        f"negatives, {others:,} more pairs shown"
    )
    table = _table(title, "split", "pairs", "queries", "products", "late", "augmented", "grade")
    for split in SPLITS:
        pairs = dataset.of(split)
        table.add_row(
            split,
            f"{len(pairs):,}",
            f"{len({pair.query for pair in pairs}):,}",
            f"{len({pair.product_id for pair in pairs}):,}",
            f"{sum(pair.late for pair in pairs):,}",
            f"{sum(pair.augmented for pair in pairs):,}",
            f"{sum(pair.grade for pair in pairs) / len(pairs):.2f}" if pairs else "-",
        )
    return table


def _certificate(manifest: DatasetManifest) -> Table:
    """Show what each split shares with train; in bold what is promised to be 0."""
    table = _table("shared with train (bold: promised to be 0)", "split", *OVERLAPS)
    for split, overlap in manifest.certificate.items():
        table.add_row(split, *(_count(split, overlap, name) for name in OVERLAPS))
    return table


def _count(split: Split, overlap: Overlap, name: str) -> Text:
    return Text(f"{getattr(overlap, name):,}", style="bold" if name in PROMISED[split] else "dim")


def _removed(manifest: DatasetManifest) -> Table:
    table = _table("left out", "why", "number")
    for name, number in sorted(manifest.removed.items(), key=lambda reason: (-reason[1], reason[0])):
        table.add_row(name.replace("_", " "), f"{number:,}")
    return table


def _examples(dataset: Dataset, number: int) -> Table:
    texts = {item.product_id: item.text for item in dataset.products}
    best: defaultdict[Split, list[TrainingPair]] = defaultdict(list)
    for pair in sorted(dataset.pairs, key=lambda item: (-item.grade, item.query, item.product_id)):
        if len(best[pair.split]) < number and pair.query not in {item.query for item in best[pair.split]}:
            best[pair.split].append(pair)
    table = _table("examples", "split", "grade")
    table.add_column("query")
    table.add_column("product")
    for split in SPLITS:
        for pair in best[split]:
            text = " ".join(texts[pair.product_id].split())
            table.add_row(split, f"{pair.grade:.1f}", _cut(pair.query), _cut(text))
    return table


def _cut(text: str) -> str:
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"
