-- Remember what a query teaches the judge; nothing: forget it. Of new queries no more than `limit` teach.
local key = prefix .. 'taught'
if batch.pairs == '' then
  redis.call('HDEL', key, batch.query)
elseif redis.call('HEXISTS', key, batch.query) == 1 or redis.call('HLEN', key) < batch.limit then
  redis.call('HSET', key, batch.query, batch.pairs)
end
return 'done'
