-- Take the state over: a new epoch. Returns {epoch, next offset or -1, the index that it was mined from,
-- how many records of it were written then, and when that was}.
local epoch = redis.call('HINCRBY', state, 'epoch', 1)
local known = redis.call('HMGET', state, 'next', 'against', 'written', 'marked')
return {epoch, tonumber(known[1] or '-1'), known[2] or '', tonumber(known[3] or '0'), tonumber(known[4] or '0')}
