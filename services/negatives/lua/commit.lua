-- Remember what a query has now that it is published, and how many of its negatives were looked at enough and
-- acted upon: the totals move by what is other than before, so that doing it twice counts once.
-- A miner that lost the partition while it published may have written over its successor's word: what it
-- wrote is remembered too, and the query is mined again.
local key = prefix .. 'chosen:' .. batch.query
if not fenced then
  redis.call('DEL', key)
end
for _, product in ipairs(batch.products) do
  redis.call('SADD', key, product)
end
if fenced then
  mark(batch.query)
  return redis.error_reply(refusal)
end

local function count(name, number)
  local before = tonumber(redis.call('HGET', prefix .. name, batch.query) or 0)
  if number ~= before then
    redis.call('HSET', prefix .. name, batch.query, number)
    redis.call('HINCRBY', state, name, number - before)
  end
  if number == 0 then
    redis.call('HDEL', prefix .. name, batch.query)
  end
end
count('looked_at', batch.looked_at)
count('acted_upon', batch.acted_upon)
return 'done'
