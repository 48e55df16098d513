-- Remember what a query has now that it is published.
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
return 'done'
