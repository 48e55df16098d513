"""The monitor: says on the bus when the shop's search breaks or drifts.

Six features, a room each: alerts, canaries, answers, freshness, drift, negatives. The others observe; alerts
turn observations into transitions.

Consumes `search.queries.v1` (what was asked and answered; counted twice, for answers and for drift),
`search.outcomes.v1` (drift), `canaries.v1` (queries whose right products are known), `rollout.v1` (which
generations are watched), the newest records of `index.records.<generation>` (drift), its own `alerts.v1`
(to compare it with the store), and `canaries.run` on `control.commands.v1`. It asks the search API, as a
shopper would and without leaving a query in the log, and reads what owners and readers announce in Redis,
and what the miner of negatives counts there.
Produces `alerts.v1`; `canaries.v1.dlq`, for canaries that can never be run; `training.jobs.v1`, when drift
may ask for a model (`monitor.drift.retrain`).

Guarantees
* An alert's transition (firing, updated, resolved) is stored in Redis together with an outbox entry before it
  is published, and leaves the outbox only when the broker has acknowledged it: a kill at any point loses no
  transition and at most repeats one, byte for byte. Alerts live through restarts, and through the loss of
  Redis or of their topic: what one of the two has lost is taken from the other.
* Each answer is counted once, and each query and outcome once in its window: what is counted and the offset
  move in one atomic step.
* A window is judged for drift once, in order, by a memory that is stored whole with the window's number. An
  alarm is said only when it is stored; a job is asked for once an alarm, or after a kill twice with one id.
* While nothing drifts, all signals together alarm once in `monitor.drift.false_alarm_every` on average.
* Of several monitors one leads (lease and epoch in Redis, and every write carries the epoch); the others
  count, and wait.
"""
