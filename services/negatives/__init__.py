"""Finds products that the live index ranks high for a query and that are not relevant to it.

Consumes `search.judgements.v1` and asks the search API; produces `training.negatives.v1`.

Guarantees: a query whose judgements moved, or whose index changed, is mined until the result is published,
whatever is killed and whenever; a product that is no longer a negative gets a tombstone, at once when
shoppers act upon it; a negative is never a product that shoppers acted on (unless they passed it on their way
to one below), one that is right together with a positive for another query, or one that is the same product
as one of these; nor, unless they passed it, one that is too close to the query, or too much like what they
choose; nor one that a cross-encoder (if there is one) finds relevant. When another model is live, the judge
has learned, or the catalogue has changed a lot, all queries are mined again.

Each partition of the judgements is one hash tag in Redis (`store`): what is judged of a query lies in
several. One worker at a time, the owner of partition 0, mines for all (`miner`), so that a query has one
writer; the search API is what bounds it, not the worker.
"""
