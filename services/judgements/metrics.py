"""The series that only this worker has."""

from prometheus_client import Counter, Gauge

tallies = Counter(
    "headrace_judgements_tallies",
    "What became of queries and events: joined, waiting, arrived, late, duplicate, robot, ignored, ...",
    ("topic", "outcome"),
)
unattributed = Counter(
    "headrace_judgements_unattributed_events", "Events too long after their query (again when sent again)"
)
published = Counter("headrace_judgements_published", "Judgements and tombstones written", ("kind",))
dirty = Gauge("headrace_judgements_unpublished_pairs", "Pairs counted and not yet published", ("partition",))
