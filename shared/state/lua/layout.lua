-- ARGV: {field of the epoch, of the offset, of the log's identity, epoch seen in the log, whether to create,
-- layout, identity of the log, identity that it replaces, other fields to return ...}.
-- What another layout holds is not even mended.
local exists = redis.call('EXISTS', state) == 1
if not exists and ARGV[5] ~= '1' then
  return nil
end
local layout = redis.call('HGET', state, 'layout') or '1'
if exists and layout ~= ARGV[6] then
  return redis.error_reply('LAYOUT ' .. layout)
end
