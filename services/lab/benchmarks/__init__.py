"""What `headrace bench` measures: our figure, what it is held against, and the ratio, in one run.

`harness` starts an installation of its own and reads what its workers count; `ingest`, `freshness`,
`judgements`, `shards`, `search_quality` and `drift` each measure one thing; `embedding` and `vectors` give
them bounds and input. `click_model_ablation` and `training_ablation` take a simulated log apart.
A figure whose proof fails (a price change that was embedded, a count that differs) is an error.
"""
