-- Return {sequence of the first entry, up to ARGV[1] entries as one JSON array}.
local outbox = prefix .. 'outbox'
local last = tonumber(redis.call('HGET', state, 'sequence') or '0')
local entries = redis.call('LRANGE', outbox, 0, tonumber(ARGV[1]) - 1)
return {last - redis.call('LLEN', outbox) + 1, '[' .. table.concat(entries, ',') .. ']'}
