-- Replace what is expected of products, for all partitions; the owner of partition 0 does.
if fenced then
  return redis.error_reply('FENCED ' .. state .. ' has epoch ' .. epoch .. ', not ' .. batch.epoch)
end
redis.call('SET', prefix .. 'expectations', batch.expectations)
return 'done'
