-- Remember what is about to be published for queries: whoever comes after knows what it must take back.
-- prepared: {{query, {product, ...}}, ...}
for _, it in ipairs(batch.prepared) do
  for _, product in ipairs(it[2]) do
    redis.call('SADD', prefix .. 'chosen:' .. it[1], product)
  end
  if batch.mark then
    mark(it[1])
  end
end
return 'done'
