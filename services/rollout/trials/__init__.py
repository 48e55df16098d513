"""Trials of a generation on live sessions: scored from outcomes, decided by their log, told as they stand.

Consumes `search.outcomes.v1` from where a trial began, its own `trial.sessions.v1`, and what routers and
joins announce in Redis of how far they are. Produces `trial.sessions.v1`; the rollout worker's leader does.

Guarantees
* A session is published when its window has closed and all that was appended until then has been joined:
  no score is made while something of it is on its way. Of two of one session the first counts.
* A score is a function of the topics of queries and events. Whatever is killed, replayed or emptied, the same
  sessions get the same scores; and the end of a trial is a function of their log.
* Only open sessions are kept in memory; of those that are closed, what they are called.
"""
