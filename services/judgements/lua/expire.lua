-- Take the days before `first` out of up to `limit` queries; returns how many queries are left to do.

-- Remove a pair's dead fields; returns its oldest live day, or nil when nothing is left.
local function expire_pair(pair)
  local key = prefix .. 'c:' .. pair
  local fields = redis.call('HGETALL', key)
  local oldest, touched = nil, false
  for i = 1, #fields, 2 do
    local shopper = string.sub(fields[i], 1, 2) == 's:'
    local day = tonumber(shopper and fields[i + 1] or string.sub(fields[i], 1, 5))
    if day < batch.first then
      redis.call('HDEL', key, fields[i])
      touched = true
    elseif not oldest or day < oldest then
      oldest = day
    end
  end
  if touched then
    redis.call('HINCRBY', prefix .. 'dirty', pair, 1)
  end
  return oldest
end

local function expire_query(query)
  for _, day in ipairs(redis.call('HKEYS', prefix .. 'n:' .. query)) do
    if tonumber(day) < batch.first then
      redis.call('HDEL', prefix .. 'n:' .. query, day)
    end
  end
  local products = prefix .. 'p:' .. query
  local oldest = nil
  for _, product in ipairs(redis.call('SMEMBERS', products)) do
    local day = expire_pair(query .. '\t' .. product)
    if not day then
      redis.call('SREM', products, product)
    elseif not oldest or day < oldest then
      oldest = day
    end
  end
  if oldest then
    redis.call('ZADD', prefix .. 'oldest', oldest, query)
  else
    redis.call('ZREM', prefix .. 'oldest', query)
  end
end

for _, day in ipairs(redis.call('SMEMBERS', prefix .. 'days')) do
  if tonumber(day) < batch.first then
    local totals = redis.call('HGETALL', prefix .. 't:' .. day)
    for i = 1, #totals, 2 do
      if redis.call('HINCRBY', prefix .. 'totals', totals[i], -totals[i + 1]) == 0 then
        redis.call('HDEL', prefix .. 'totals', totals[i])
      end
    end
    redis.call('DEL', prefix .. 't:' .. day)
    redis.call('SREM', prefix .. 'days', day)
  end
end
local before = '(' .. batch.first
local old = redis.call('ZRANGEBYSCORE', prefix .. 'oldest', '-inf', before, 'LIMIT', 0, batch.limit)
for _, query in ipairs(old) do
  expire_query(query)
end
redis.call('HSET', state, 'first', batch.first)
return redis.call('ZCOUNT', prefix .. 'oldest', '-inf', before)
