-- ARGV[1]: what the caller holds, as JSON: {epoch, fields: {of the epoch, of the offset}, from, next}.
-- A higher epoch is a newer owner's. A lower one is ours of before: Redis came back with older data.
local held = cjson.decode(ARGV[1])
local stored_epoch = redis.call('HGET', state, held.fields[1])
if not stored_epoch then
  return redis.error_reply('GONE')
end
if tonumber(stored_epoch) < held.epoch then
  return redis.error_reply('OLDER epoch ' .. stored_epoch)
end
local fenced = tonumber(stored_epoch) > held.epoch
local refusal = 'FENCED ' .. stored_epoch

