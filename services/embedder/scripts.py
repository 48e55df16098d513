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
local logs = cjson.decode(ARGV[2])
local older = cjson.decode(ARGV[3])
for _, name in ipairs(older[2]) do redis.call('HDEL', prefix .. 'older', name) end
for name, changes in pairs(older[1]) do redis.call('HSET', prefix .. 'older', name, changes) end
if ARGV[4] ~= '' then redis.call('HSET', state, 'records', ARGV[4]) end
for i = 5, #ARGV, 5 do
  redis.call('HSET', documents, ARGV[i], ARGV[i + 1])
  if ARGV[i + 2] == 'set' then redis.call('HSET', embeddings, ARGV[i], ARGV[i + 3]) end
  if ARGV[i + 2] == 'delete' then redis.call('HDEL', embeddings, ARGV[i]) end
  if ARGV[i + 4] == 'written' then
    for _, log in ipairs(logs) do redis.call('ZREM', prefix .. 'unwritten:' .. log, ARGV[i]) end
  elseif ARGV[i + 4] ~= '' then
    local log = string.sub(held.fields[2], 6)
    redis.call('ZADD', prefix .. 'unwritten:' .. log, 'LT', ARGV[i + 4], ARGV[i])
  end
end
redis.call('HSET', state, 'products', redis.call('HLEN', documents))
return 'done'
"""
