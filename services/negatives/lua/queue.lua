-- Mark a query as to be mined (`now` in milliseconds): it keeps its place in the queue, and gets a touch that nobody else has.
local function mark(query)
  redis.call('ZADD', prefix .. 'moved', 'NX', batch.now, query)
  redis.call('HSET', prefix .. 'touches', query, redis.call('HINCRBY', state, 'touched', 1))
end
