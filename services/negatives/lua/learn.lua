-- Store what is judged, and mark the queries of which that is news; products that begin to be acted upon are
-- remembered, too, in case they are published as negatives.
-- facts: {query, product, packed fact or '' when nothing is judged any more}
local function said(packed)
  return string.match(packed, '^%S+ %S+ %S+ %S+') or ''
end
local function is_acted_upon(packed)
  return (tonumber(string.match(packed, '^%d+')) or 0) > 0
end

local news = 0
for _, it in ipairs(batch.facts) do
  local key = prefix .. 'q:' .. it[1]
  local before = redis.call('HGET', key, it[2]) or ''
  if said(before) ~= said(it[3]) then
    news = news + 1
    mark(it[1])
    if is_acted_upon(it[3]) and not is_acted_upon(before) then
      redis.call('SADD', prefix .. 'acted', it[1] .. '\t' .. it[2])
    end
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
