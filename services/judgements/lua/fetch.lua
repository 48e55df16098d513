-- Return, as JSON, for each pair: {touches since it was published, field, number, ...}.
if fenced then
  return redis.error_reply('FENCED ' .. state .. ' has epoch ' .. epoch .. ', not ' .. batch.epoch)
end
local found = {}
for i, pair in ipairs(batch.pairs) do
  local fields = redis.call('HGETALL', prefix .. 'c:' .. pair)
  table.insert(fields, 1, redis.call('HGET', prefix .. 'dirty', pair) or '0')
  found[i] = fields
end
return cjson.encode(found)
