-- Drop the outbox's entries up to and including sequence ARGV[1]; harmless when done again.
local outbox = prefix .. 'outbox'
local last = tonumber(redis.call('HGET', state, 'sequence') or '0')
local length = redis.call('LLEN', outbox)
local gone = math.min(tonumber(ARGV[1]) - (last - length), length)
if gone > 0 then
  redis.call('LTRIM', outbox, gone, -1)
end
return length - math.max(gone, 0)
