-- Begin a new incarnation, unless somebody did already: ARGV {the old one, the new one}.
if redis.call('HGET', KEYS[1], 'id') == ARGV[1] then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'id', ARGV[2], 'old', ARGV[1])
end
return redis.call('HGET', KEYS[1], 'id')
