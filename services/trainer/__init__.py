"""The trainer: makes better models from what shoppers taught.

Consumes `training.jobs.v1`, and for each job a range of `search.judgements.v1`, `training.negatives.v1` and
`catalogue.changes.v1`; also `rollout.v1`, `alerts.v1` and `canaries.v1`, for how the live model is served and
what it must find. Produces `models.v1` (one row a model, never changed), the state of each job on
`training.jobs.v1`, and a model directory with its card. Guarantees that a job is done once: its worker
holds a lease, its folder has whole checkpoints, and whoever takes it over after a `kill -9` ends with the
same weights; that nothing held out was learned from; and that a candidate is admitted only when it is
better than the live model beyond doubt.
"""
