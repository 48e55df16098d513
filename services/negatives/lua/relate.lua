-- Remember which products are right for a query; when that is news, have those queries mined again that
-- share one of them. Returns the products that are right, together with one of these, for another query.
-- A product that is right for more than `hub` queries tells nothing: everybody takes it.
local function key(name, of)
  return prefix .. name .. ':' .. of
end
local function asked(product)
  if redis.call('SCARD', key('asked', product)) > batch.hub then
    return {}
  end
  return redis.call('SMEMBERS', key('asked', product))
end

local now, before, changed = {}, redis.call('SMEMBERS', key('right', batch.query)), false
for _, product in ipairs(batch.right) do
  now[product] = true
end
local affected = {}
local function affect(product)
  for _, query in ipairs(asked(product)) do
    affected[query] = query ~= batch.query or nil
  end
end
for _, product in ipairs(before) do
  affect(product)
  if now[product] then
    now[product] = nil
  else
    changed = true
    redis.call('SREM', key('right', batch.query), product)
    redis.call('SREM', key('asked', product), batch.query)
  end
end
for product in pairs(now) do
  changed = true
  affect(product)
  redis.call('SADD', key('right', batch.query), product)
  redis.call('SADD', key('asked', product), batch.query)
end
if changed then
  for query in pairs(affected) do
    mark(query)
  end
end

local together = {}
for _, product in ipairs(batch.positives) do
  for _, query in ipairs(asked(product)) do
    if query ~= batch.query then
      for _, other in ipairs(redis.call('SMEMBERS', key('right', query))) do
        together[other] = true
      end
    end
  end
end
local found = {}
for product in pairs(together) do
  table.insert(found, product)
end
return found
