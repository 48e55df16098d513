-- Add outcomes to their day buckets, and mark the pairs as not yet published.
-- pairs: {query, product, {field, number, ...}, {shopper, day, ...}}
-- totals: {day, {field, number, ...}}; searches: {query, day, number}; oldest: {query, day}; expired: pairs to be published as they are
for origin, sequence in pairs(batch.seen) do
  redis.call('HSET', state, 'seen:' .. origin, sequence)
end
for _, it in ipairs(batch.pairs) do
  local pair = it[1] .. '\t' .. it[2]
  local key = prefix .. 'c:' .. pair
  if redis.call('EXISTS', key) == 0 then
    redis.call('SADD', prefix .. 'p:' .. it[1], it[2])
  end
  for i = 1, #it[3], 2 do
    redis.call('HINCRBY', key, it[3][i], it[3][i + 1])
  end
  for i = 1, #it[4], 2 do
    local last = redis.call('HGET', key, it[4][i])
    if not last or tonumber(last) < it[4][i + 1] then
      redis.call('HSET', key, it[4][i], it[4][i + 1])
    end
  end
  redis.call('HINCRBY', prefix .. 'dirty', pair, 1)
end
for _, it in ipairs(batch.totals) do
  redis.call('SADD', prefix .. 'days', it[1])
  for i = 1, #it[2], 2 do
    redis.call('HINCRBY', prefix .. 't:' .. it[1], it[2][i], it[2][i + 1])
    redis.call('HINCRBY', prefix .. 'totals', it[2][i], it[2][i + 1])
  end
end
for _, it in ipairs(batch.searches) do
  redis.call('HINCRBY', prefix .. 'n:' .. it[1], it[2], it[3])
end
for _, it in ipairs(batch.oldest) do
  redis.call('ZADD', prefix .. 'oldest', 'LT', it[2], it[1])
end
for _, pair in ipairs(batch.expired) do
  redis.call('HINCRBY', prefix .. 'dirty', pair, 1)
end
return 'done'
