-- Store what is judged, and mark the queries of which that is news.
-- facts: {query, product, packed fact or '' when nothing is judged any more}
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
