-- Return {sequence of the first entry, up to ARGV[2] entries as one JSON array}.
-- A state that ends before where its owner left it has lost entries too; a former owner sends what there is.
local offset = redis.call('HGET', state, held.fields[2]) or '0'
if held.from ~= '' and tonumber(offset) < tonumber(held.from) then
  return redis.error_reply('OLDER offset ' .. offset)
end
local outbox = prefix .. 'outbox'
local last = tonumber(redis.call('HGET', state, 'sequence') or '0')
local entries = redis.call('LRANGE', outbox, 0, tonumber(ARGV[2]) - 1)
return {last - redis.call('LLEN', outbox) + 1, '[' .. table.concat(entries, ',') .. ']'}
