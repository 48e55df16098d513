-- Take the state over with a new epoch: whoever held it before is refused from now on.
-- A state of another log than the one that is read now is refused, unless it is the one that this log is known
-- to replace: then it goes on, from the beginning of this one. Returns {epoch, next offset, other fields ...}.
local stored = redis.call('HMGET', state, ARGV[1], ARGV[2], ARGV[3])
local log, identity = stored[3] or '', ARGV[7]
if identity ~= '' and log ~= '' and log ~= identity then
  if log ~= ARGV[8] then
    return redis.error_reply('REPLACED ' .. log .. ' ' .. (stored[2] or '0'))
  end
  stored[2] = stored[2] and '0'
end
local epoch = epoch_above(stored[1], ARGV[4])
redis.call('HSET', state, ARGV[1], epoch, 'layout', ARGV[6])
if stored[2] then
  redis.call('HSET', state, ARGV[2], stored[2])
end
if identity ~= '' then
  redis.call('HSET', state, ARGV[3], identity)
end
local reply = {epoch, stored[2]}
for i = 9, #ARGV do
  reply[i - 6] = redis.call('HGET', state, ARGV[i])
end
return reply
