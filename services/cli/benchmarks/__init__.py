"""What `headrace bench` measures: our figure, what it is held against, and the ratio, in one run.

`ground` starts an installation of its own and reads what its workers count; `ingest`, `freshness`,
`judgements` and `shards` each measure one thing; `embedding` and `vectors` give them bounds and input.
A figure whose proof fails (a price change that was embedded, a count that differs) is an error.
"""
