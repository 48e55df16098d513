-- Join events to their queries; those that came first wait.
-- items: {query id, identity, action, shopper, hour}
for _, it in ipairs(batch.items) do
  local id, action = it[1], it[3]
  local seen = prefix .. 'e:' .. id
  if redis.call('SADD', seen, it[2]) == 0 then
    tally('duplicate', 1)
    no_op = no_op + 1
  else
    redis.call('PEXPIRE', seen, batch.keep, 'NX')
    if exceeded(it[4], it[5]) then
      tally('robot', 1)
      no_op = no_op + 1
    else
      local query = redis.call('GET', prefix .. 'q:' .. id)
      if not query then
        local pending = prefix .. 'w:' .. id
        redis.call('RPUSH', pending, action)
        redis.call('PEXPIRE', pending, batch.keep, 'NX')
        tally('waiting', 1)
      elseif string.byte(query) ~= 91 then -- a mark instead of '['
        tally(query, 1)
        no_op = no_op + 1
      else
        out[#out + 1] = '[' .. query .. ',' .. action .. further(id) .. ']'
      end
    end
  end
end
return send()
