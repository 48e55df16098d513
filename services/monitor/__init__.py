"""The monitor: says on the bus when the shop's search breaks or drifts.

Consumes `canaries.v1` (queries whose right products are known), `search.queries.v1` (what was asked and
answered), what owners and readers of partitions announce in Redis, and `canaries.run` on
`control.commands.v1`.
Produces `alerts.v1`, and `canaries.v1.dlq` for canaries that can never be run.

Guarantees: an alert's transition (firing, updated, resolved) is stored in Redis together with an outbox
entry before it is published, and leaves the outbox only when the broker has acknowledged it: a kill at
any point loses no transition and at most repeats one, byte for byte. Alerts live through restarts. Each
answer is counted once: counts and offset move in one atomic step. Of several monitors one leads (lease
and epoch in Redis); the others count answers and wait.
"""
