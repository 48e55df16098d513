"""The shards worker: owns partitions of `index.records.<generation>` and answers searches on them.

Consumes   index records (documents, vectors, fingerprint), one partition = one shard, of each generation
           that `rollout.v1` names.
Produces   nothing on the bus but alerts; it answers `POST /query` and its neighbours over HTTP.
Guarantees a record is found by the next search once it is applied, an overwritten or deleted one is gone;
           a shard restarts from its last checkpoint that verifies, plus the tail of the log; a state of a
           newer epoch is never overwritten; two model fingerprints never meet in one shard.
"""
