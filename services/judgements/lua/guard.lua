-- KEYS[1]: the state hash of one hash tag. ARGV[1]: the batch, as JSON.
-- Every key of the tag begins like the state's, so a prefix names them all.
local state = KEYS[1]
local prefix = string.sub(state, 1, -6)
local batch = cjson.decode(ARGV[1])
local epoch = redis.call('HGET', state, 'epoch:' .. batch.topic)
if not epoch then
  return redis.error_reply('LOST the state ' .. state .. ' is gone')
end
local fenced = tonumber(epoch) ~= batch.epoch

