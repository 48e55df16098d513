-- Take the mark off a query, unless it was touched meanwhile (a touch has a number of its own).
if redis.call('HGET', prefix .. 'touches', batch.query) == batch.touch then
  redis.call('HDEL', prefix .. 'touches', batch.query)
  redis.call('ZREM', prefix .. 'moved', batch.query)
end
return 'done'
