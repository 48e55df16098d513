"""The rollout worker: answers requests to build, try, promote, roll back and retire generations of the index.

Consumes `rollout.v1` (requests, and its own answers), `models.v1`, `search.outcomes.v1` while a trial runs
(`services.rollout.trials`), its own alerts on `alerts.v1`, and what owners, readers and workers of every
generation announce in Redis, with the canaries' last results.
Produces answers on `rollout.v1`, `trial.sessions.v1`, the command `canaries.run` on `control.commands.v1`
when a generation has caught up, and `alerts.v1` when one was given up or is tried. It makes and removes the
topics `index.records.<generation>`, and writes no message to them.

Guarantees
* Every request is answered; of two answers to one request the first counts, whoever gave it. A worker that is
  killed between a request and its answer leaves the request to the next one.
* It keeps no state but the topic: what it decides follows from the log up to its end, and from what the
  workers say they serve.
* A generation is ready when every shard of it is, it has no more to catch up with, it has as many products as
  the live one, and its canaries find what the live one's must. Only then it can be promoted.
* A generation whose model is undecided is promoted when a trial ended for it, or by force.
* A model is looked through and compared with its record before any worker may load it.
* One worker decides at a time (a lease); several may run.
"""
