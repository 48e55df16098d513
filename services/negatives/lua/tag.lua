-- KEYS[1]: the state hash of one hash tag. ARGV[1]: what is to be done, as JSON; `now` in milliseconds.
-- Every key of the tag begins like the state's, so a prefix names them all.
local state = KEYS[1]
local prefix = string.sub(state, 1, -6)
local batch = cjson.decode(ARGV[1])

-- Mark a query as to be mined: it keeps its place in the queue, and gets a touch that nobody else has.
local function mark(query)
  redis.call('ZADD', prefix .. 'moved', 'NX', batch.now, query)
  redis.call('HSET', prefix .. 'touches', query, redis.call('HINCRBY', state, 'touched', 1))
end
