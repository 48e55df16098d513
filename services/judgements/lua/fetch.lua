-- Return, as JSON, for each pair: {touches since it was published, answers to its query, field, number, ...}.
-- pairs: query, tab, product; first: the first live day
local known = {}

local function searches(query)
  if not known[query] then
    local days = redis.call('HGETALL', prefix .. 'n:' .. query)
    local sum = 0
    for i = 1, #days, 2 do
      if tonumber(days[i]) >= batch.first then
        sum = sum + tonumber(days[i + 1])
      end
    end
    known[query] = sum
  end
  return known[query]
end

local found = {}
for i, pair in ipairs(batch.pairs) do
  local fields = redis.call('HGETALL', prefix .. 'c:' .. pair)
  table.insert(fields, 1, searches(string.match(pair, '^(.*)\t')))
  table.insert(fields, 1, redis.call('HGET', prefix .. 'dirty', pair) or '0')
  found[i] = fields
end
return cjson.encode(found)
