"""Which process does what: leases with fencing tokens, leaders, assignment of partitions, membership."""
