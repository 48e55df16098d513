-- Remember what is about to be published for queries: whoever comes after knows what it must take back.
-- prepared: {{query, {product, ...}}, ...}; watched, of some of them: {query = {product = packed}}
for _, it in ipairs(batch.prepared) do
  for _, product in ipairs(it[2]) do
    redis.call('SADD', prefix .. 'chosen:' .. it[1], product)
  end
  local watched = batch.watched[it[1]]
  if watched then
    redis.call('DEL', prefix .. 'watched:' .. it[1])
    for product, packed in pairs(watched) do
      redis.call('HSET', prefix .. 'watched:' .. it[1], product, packed)
    end
  end
  if batch.mark then
    mark(it[1])
  end
end
return 'done'
