-- KEYS[1]: the fence of state that a leader writes; ARGV[1]: the epoch of the leader's lease.
-- The highest epoch that ever wrote is kept, and a lower one is refused.
local fence = redis.call('GET', KEYS[1])
if fence and tonumber(fence) > tonumber(ARGV[1]) then
  return redis.error_reply('FENCED ' .. fence)
end
redis.call('SET', KEYS[1], ARGV[1])

