-- Take the state over: a new epoch. Without `create`, a state that is not there stays so.
-- Returns {epoch, next offset or -1, stream clock, first live day}, or nil.
local topic = ARGV[1]
if ARGV[2] ~= '1' and redis.call('EXISTS', KEYS[1]) == 0 then
  return nil
end
local epoch = redis.call('HINCRBY', KEYS[1], 'epoch:' .. topic, 1)
local known = redis.call('HMGET', KEYS[1], 'next:' .. topic, 'clock:' .. topic, 'first')
return {epoch, tonumber(known[1] or '-1'), tonumber(known[2] or '0'), tonumber(known[3] or '0')}
