"""Turns what shoppers were shown and did into rolling judgements of relevance.

Consumes `search.queries.v1` and `search.events.v1`, whatever partitions they were written to: what is not at
home there is forwarded. Stage one (`join`) joins them in either order, drops duplicates and robots, and
produces `search.outcomes.v1`. Stage two (`window`) counts those in day buckets for each (query, product), and
`publisher` upserts what was touched to `search.judgements.v1`, held against what `fitting` finds may be
expected of a product where it was shown.

Guarantees: every event counts exactly once whatever is killed and whenever; every touched pair is
published in its last state; a pair whose window empties gets a tombstone, with or without new traffic.
The order is: counts and offset in one atomic script, then the bus, then forgetting that it was to be
sent. `incarnation` says what happens when Redis loses its state.
"""
