-- Move the offset, with what follows, at most once: a state that ends where the batch ends has it already,
-- else the state must end where the batch begins. The offset is the first write of the script, so that a
-- full Redis refuses all of it or nothing.
if held.next ~= '' then
  local offset = redis.call('HGET', state, held.fields[2]) or ''
  if offset == held.next then
    return 'again'
  end
  if offset ~= held.from then
    return redis.error_reply('OLDER offset ' .. (offset ~= '' and offset or '0'))
  end
  redis.call('HSET', state, held.fields[2], held.next)
end

