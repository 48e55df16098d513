"""The Prometheus series that every worker exports; `/metrics` on each worker's own port."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram

PARTITION = ("reader", "topic", "partition")
"""One worker may read a topic several times: for two generations, or for two purposes."""

consumed = Counter("headrace_consumed", "Messages read", PARTITION)
applied = Counter("headrace_applied", "Messages that changed state", PARTITION)
no_op = Counter("headrace_no_op", "Messages that changed nothing (repeated, or older)", PARTITION)
older = Counter("headrace_older", "Messages without effect that were older than what is known", PARTITION)
forwarded = Counter(
    "headrace_forwarded",
    "Messages at home in another partition: sent there, or left to its reader",
    PARTITION,
)
dead_lettered = Counter(
    "headrace_dead_lettered", "Messages written to a dead-letter topic", (*PARTITION, "reason")
)
skipped = Counter(
    "headrace_skipped", "A connector's own messages: heartbeats, transactions, ...", (*PARTITION, "kind")
)
gaps = Counter("headrace_offset_gap_messages", "Messages that were gone before they were read", PARTITION)
retries = Counter("headrace_retries", "Batches tried again after a transient error", PARTITION)
applied_offset = Gauge("headrace_applied_offset", "First offset that is not yet in the state", PARTITION)
lag = Gauge("headrace_lag_messages", "Messages written and not yet in the state", PARTITION)
batch_size = Histogram(
    "headrace_batch_size_messages", "Messages a batch", ("topic",), buckets=(1, 4, 16, 64, 256, 1024, 4096)
)
handle_seconds = Histogram("headrace_handle_seconds", "Time to make a batch durable", ("topic",))
AGES = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3600)
freshness = Histogram(
    "headrace_freshness_seconds", "From the change's event time to searchable", buckets=AGES
)
ingestion = Histogram(
    "headrace_ingestion_seconds", "From the broker's append of the change to searchable", buckets=AGES
)
stage_cpu = Counter("headrace_stage_cpu_seconds", "CPU-seconds of a part of a worker's work", ("stage",))


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Count the CPU that this thread uses meanwhile; what awaits counts what others do meanwhile, too."""
    began = time.thread_time()
    try:
        yield
    finally:
        stage_cpu.labels(name).inc(time.thread_time() - began)
