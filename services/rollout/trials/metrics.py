"""The series of the trial that runs."""

from prometheus_client import Counter, Gauge

sessions = Counter("headrace_trial_sessions", "Sessions whose window closed", ("arm",))
acted = Counter("headrace_trial_acted_sessions", "Of them, those in which anything was acted upon", ("arm",))
open_sessions = Gauge(
    "headrace_trial_open_sessions", "Sessions whose window has not closed, or not yet known"
)
unjoined = Gauge("headrace_trial_unjoined_messages", "Queries and events that sessions wait for to be joined")
interval = Gauge(
    "headrace_trial_interval", "What sessions say for the candidate, at the last look", ("bound",)
)
