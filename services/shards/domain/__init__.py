"""What a shard decides: what to apply, when to seal and merge, who owns what; values in, values out."""
