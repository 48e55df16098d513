-- Replace what is expected of products, for all partitions; the owner of partition 0 does.
redis.call('SET', prefix .. 'expectations', batch.expectations)
return 'done'
