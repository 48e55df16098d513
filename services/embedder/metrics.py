"""The embedder's own series."""

from prometheus_client import Counter, Histogram

embed_seconds = Histogram(
    "headrace_embed_seconds",
    "Time a batch waited for its vectors",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
embed_batch = Histogram(
    "headrace_embed_batch_texts", "Passages embedded for one batch", buckets=(1, 4, 16, 64, 256, 1024)
)
texts_embedded = Counter("headrace_texts_embedded", "Passages that went through the model")
texts_reused = Counter("headrace_texts_reused", "Products whose vectors were kept, their text unchanged")
texts_shared = Counter(
    "headrace_texts_shared", "Products that took the vectors of another product with the same text"
)
text_findings = Counter("headrace_text_findings", "What was found in texts that were embedded", ("reason",))
records_published = Counter("headrace_records_published", "Index and attribute records written")
attributes_published = Counter("headrace_attributes_published", "Attribute records among them")
texts_cut = Counter("headrace_texts_cut", "Attributes cut at 32 KiB")
attributes_left_out = Counter(
    "headrace_attributes_left_out", "Attributes that could not be taken of a change", ("reason",)
)
rebuilds = Counter("headrace_state_rebuilds", "Partitions whose state was rebuilt from index records")
backfilled = Counter(
    "headrace_backfilled_products", "Products of the source that a new generation took over, or had", ("how",)
)
