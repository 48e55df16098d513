-- Store what is judged, mark the queries of which that is news, and move the offset: at most once.
-- facts: {query, product, packed fact or '' when nothing is judged any more}
local at = tonumber(redis.call('HGET', state, 'next') or '-1')
if at ~= batch.from then
  if at == batch.next then
    return 'again'
  end
  return redis.error_reply('LOST ' .. state .. ' is at offset ' .. at .. ', not ' .. batch.from)
end
redis.call('HSET', state, 'next', batch.next)
local news = 0
for _, it in ipairs(batch.facts) do
  local key = prefix .. 'q:' .. it[1]
  if (redis.call('HGET', key, it[2]) or '') ~= it[3] then
    news = news + 1
    mark(it[1])
    if it[3] ~= '' then
      redis.call('HSET', key, it[2], it[3])
      redis.call('SADD', prefix .. 'queries', it[1])
    else
      redis.call('HDEL', key, it[2])
      if redis.call('EXISTS', key) == 0 then
        redis.call('SREM', prefix .. 'queries', it[1])
      end
    end
  end
end
return news
