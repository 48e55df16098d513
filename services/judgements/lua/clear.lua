-- Forget that pairs were to be published, unless they were touched meanwhile.
-- A publisher that lost the partition while it published may have written over its successor's word:
-- it makes the pairs be published again.
-- published: {pair, touches when fetched}
for _, it in ipairs(batch.published) do
  if fenced then
    redis.call('HINCRBY', prefix .. 'dirty', it[1], 1)
  elseif redis.call('HGET', prefix .. 'dirty', it[1]) == it[2] then
    redis.call('HDEL', prefix .. 'dirty', it[1])
  end
end
if fenced then
  return redis.error_reply(refusal)
end
return redis.call('HLEN', prefix .. 'dirty')
