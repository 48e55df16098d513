-- Take the state over: a new epoch. Returns {epoch, next offset or -1, the index that it was mined from}.
local epoch = redis.call('HINCRBY', state, 'epoch', 1)
local known = redis.call('HMGET', state, 'next', 'against')
return {epoch, tonumber(known[1] or '-1'), known[2] or ''}
