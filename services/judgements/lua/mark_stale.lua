-- Mark all pairs of some queries to be published again; with `against`, they were the last.
for _, query in ipairs(batch.queries) do
  for _, product in ipairs(redis.call('SMEMBERS', prefix .. 'p:' .. query)) do
    redis.call('HINCRBY', prefix .. 'dirty', query .. '\t' .. product, 1)
  end
end
if batch.against ~= '' then
  redis.call('HSET', state, 'against', batch.against)
end
return 'done'
