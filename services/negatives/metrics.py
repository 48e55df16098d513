"""The series that only this worker has."""

from math import nan

from prometheus_client import Counter, Gauge

from shared.relevance.judge import CrossFitted

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
    "Share of them that shoppers went on to skip; not a number while there are none, and where nobody mines",
)
precision.set(nan)
judge_queries = Gauge("headrace_negatives_judge_queries", "Queries that the judge of relevance learned from")
judge_loss = Gauge(
    "headrace_negatives_judge_loss",
    "Its mean log loss on queries that it had not learned from; cosine: that of the cosine alone",
    ("judge",),
)


def show(judges: CrossFitted) -> None:
    """Show what the judges learned from, and how well they do."""
    judge_queries.set(judges.queries)
    for name, loss in (("used", judges.loss), ("cosine", judges.cosine_loss)):
        judge_loss.labels(name).set(nan if loss is None else loss)
