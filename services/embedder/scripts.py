"""The store's own steps in Redis, behind the guard of a fenced state (`shared.state.fenced`)."""

MEND = """
local documents, embeddings = prefix .. 'documents', prefix .. 'embeddings'
if redis.call('HLEN', documents) ~= tonumber(redis.call('HGET', state, 'products') or '0') then
  redis.call('DEL', documents, embeddings)
  redis.call('HDEL', state, 'products', 'accepted')
  for _, field in ipairs(redis.call('HKEYS', state)) do
    if string.sub(field, 1, 5) == 'next:' then
      redis.call('HDEL', state, field)
      redis.call('DEL', prefix .. 'unwritten:' .. string.sub(field, 6))
    end
  end
end
"""
WHOLE = """
local documents, embeddings = prefix .. 'documents', prefix .. 'embeddings'
if redis.call('HLEN', documents) ~= tonumber(redis.call('HGET', state, 'products') or '0') then
  return redis.error_reply('GONE')
end
"""
ADOPT = "redis.call('HSET', state, held.fields[3], ARGV[2])"
ACCEPT = """
redis.call('HSET', state, 'accepted', ARGV[2])
for field, offset in pairs(cjson.decode(ARGV[3])) do redis.call('HSET', state, field, offset) end
for i = 4, #ARGV do redis.call('HDEL', prefix .. 'older', ARGV[i]) end
"""
COMMIT = """
local batch = cjson.decode(ARGV[2])
local last = 2 + 2 * batch.products
local function put(key, first, last)
  for i = first, last, 1000 do redis.call('HSET', key, unpack(ARGV, i, math.min(i + 999, last))) end
end
for _, name in ipairs(batch.settled) do redis.call('HDEL', prefix .. 'older', name) end
for name, changes in pairs(batch.older) do redis.call('HSET', prefix .. 'older', name, changes) end
if batch.records ~= '' then redis.call('HSET', state, 'records', batch.records) end
put(documents, 3, last)
put(embeddings, last + 1, #ARGV)
for _, id in ipairs(batch.without_vectors) do redis.call('HDEL', embeddings, id) end
for _, log in ipairs(batch.logs) do
  local unwritten = prefix .. 'unwritten:' .. log
  if redis.call('EXISTS', unwritten) == 1 then
    for i = 3, last, 2 do
      if not batch.unwritten[ARGV[i]] then redis.call('ZREM', unwritten, ARGV[i]) end
    end
  end
end
for id, offset in pairs(batch.unwritten) do
  redis.call('ZADD', prefix .. 'unwritten:' .. string.sub(held.fields[2], 6), 'LT', offset, id)
end
redis.call('HSET', state, 'products', redis.call('HLEN', documents))
return 'done'
"""
