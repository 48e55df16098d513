"""A shop's own files, on the bus: catalogues as changes, logs of the past as queries and events.

Consumes files (JSON Lines, CSV, Parquet, Merchant feeds, Shopify exports) and standard input. Produces
`catalogue.changes.v1` and `catalogue.loads.v1`. Guarantees that each line is acknowledged by the broker or
told with its reason, that a load that was killed goes on where it stood, and that of two loads of a product
the later one counts. It is no worker: `headrace load` runs it.
"""
