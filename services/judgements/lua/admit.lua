-- Shared by queries and events: the robots' limit and the outbox.
redis.call('HSET', state, 'clock:' .. batch.topic, batch.clock)
local tallies = batch.refused
local no_op = 0
local out = {}

local function tally(reason, number)
  tallies[reason] = (tallies[reason] or 0) + number
end

local hour = tonumber(redis.call('HGET', state, 'hour:' .. batch.topic) or '-1')
local rates = prefix .. 'rates:' .. batch.topic

-- Counts a shopper's messages within one hour of the stream's clock, which never goes back.
local function exceeded(shopper, now)
  if shopper == '' or batch.limit == 0 then
    return false
  end
  if now ~= hour then
    redis.call('DEL', rates)
    hour = now
  end
  return redis.call('HINCRBY', rates, shopper, 1) > batch.limit
end

-- The further pages of a query id, each with a comma before it: they follow the first one and the action.
local function further(id)
  local pages = redis.call('LRANGE', prefix .. 'pages:' .. id, 0, -1)
  return #pages == 0 and '' or ',' .. table.concat(pages, ',')
end

-- The outbox is a list; its last entry has the number `sequence`.
local function send()
  for first = 1, #out, 500 do
    redis.call('RPUSH', prefix .. 'outbox', unpack(out, first, math.min(first + 499, #out)))
  end
  redis.call('HINCRBY', state, 'sequence', #out)
  redis.call('HSET', state, 'hour:' .. batch.topic, hour)
  tallies.joined = #out
  for reason, number in pairs(tallies) do
    redis.call('HINCRBY', prefix .. 'tallies', reason, number)
  end
  return cjson.encode({no_op = no_op, tallies = tallies})
end

