-- The batch must begin where the state ends. Ending there means: this batch again.
if fenced then
  return redis.error_reply('FENCED ' .. state .. ' has epoch ' .. epoch .. ', not ' .. batch.epoch)
end
local at = tonumber(redis.call('HGET', state, 'next:' .. batch.topic) or '-1')
if at ~= batch.from then
  if at == batch.next then
    return 'again'
  end
  return redis.error_reply('LOST ' .. state .. ' is at offset ' .. at .. ', not ' .. batch.from)
end
redis.call('HSET', state, 'next:' .. batch.topic, batch.next)

