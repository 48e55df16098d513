"""The series that only this worker has."""

from math import nan

from prometheus_client import Counter, Gauge

mined = Counter(
    "headrace_negatives_queries",
    "Queries mined: mined, no_positive, unscored, refused (by search)",
    ("outcome",),
)
refused = Counter("headrace_negatives_refused", "Candidates that are no negatives", ("reason",))
published = Counter("headrace_negatives_published", "Negatives and tombstones written", ("kind",))
waiting = Gauge("headrace_negatives_waiting_queries", "Queries that moved and are not yet mined")
withdrawn = Counter(
    "headrace_negatives_withdrawn",
    "Negatives taken back: engaged (shoppers acted upon them), relevant, co_positive, no_positive, replaced",
    ("reason",),
)
looked_at = Gauge(
    "headrace_negatives_looked_at", "Negatives that shoppers have looked at enough since they were mined"
)
precision = Gauge(
    "headrace_negatives_precision",
    "Share of them that nobody acted upon; not a number while there are none, and where nobody mines",
)
precision.set(nan)
