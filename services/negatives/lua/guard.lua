local epoch = redis.call('HGET', state, 'epoch')
if not epoch then
  return redis.error_reply('LOST the state ' .. state .. ' is gone')
end
local fenced = tonumber(epoch) ~= batch.epoch
local refusal = 'FENCED ' .. state .. ' has epoch ' .. epoch .. ', not ' .. batch.epoch
