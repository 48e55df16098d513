"""The series that only this worker has."""

from prometheus_client import Counter, Gauge

mined = Counter(
    "headrace_negatives_queries",
    "Queries mined: mined, no_positive, unscored, refused (by search)",
    ("outcome",),
)
refused = Counter("headrace_negatives_refused", "Candidates that are no negatives", ("reason",))
published = Counter("headrace_negatives_published", "Negatives and tombstones written", ("kind",))
waiting = Gauge("headrace_negatives_waiting_queries", "Queries that moved and are not yet mined")
