"""The embedder: catalogue changes in, complete index records out.

Consumes `catalogue.changes.v1` (every accepted form), its repartition topic, `catalogue.acceptances.v1`
(sources whose versions went back, and that count all the same) and `rollout.v1`. Produces
`index.records.<generation>`: for each product that a batch changed, one record with the merged document,
its text, its language, passages, vectors, model fingerprint and source; and `catalogue.findings.v1`: what
could not be taken of a change, once for all generations, and what a text is like when it is embedded (cut,
empty, that of another product or nearly).

Guarantees
* A product's state does not depend on the partitions that its changes were written to: what is not at home
  where it lies is forwarded, once for all generations.
* Changes merge by version, field by field: replays and disorder change nothing, deletes stay deleted.
* A text is embedded once: a price change keeps its vectors, a redelivery publishes nothing, and a product
  with the text of another one takes its vectors.
* A record is published before the state that says so; documents, vectors and the next offset move in one
  step, fenced by an epoch. A crash repeats at most one batch.
* The state in Redis can be lost: it is rebuilt from the index records.
* One generation holds vectors of one model: another fingerprint is refused at the start.
* It runs an embedder for each generation of `rollout.v1`. A new one begins with what another one has
  (patches and deletes included), goes on with the changes from there, and never holds the live one up.
"""
