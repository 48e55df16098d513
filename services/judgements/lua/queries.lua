-- Remember queries, send their impressions, and join the events that came before them.
-- items: {query id, content, mark, whether to send impressions, shopper, hour}
for _, it in ipairs(batch.items) do
  local id, content, mark = it[1], it[2], it[3]
  local key = prefix .. 'q:' .. id
  if redis.call('EXISTS', key) == 1 then
    tally('duplicate', 1)
    no_op = no_op + 1
  else
    if exceeded(it[5], it[6]) then
      mark = 'robot'
    end
    if mark ~= '' then
      content = mark
      tally(mark, 1)
      no_op = no_op + 1
    elseif it[4] == 1 then
      out[#out + 1] = '[' .. content .. ',0]'
    end
    redis.call('SET', key, content, 'PX', batch.keep)
    local pending = prefix .. 'w:' .. id
    local waiting = redis.call('LRANGE', pending, 0, -1)
    if #waiting > 0 then
      redis.call('DEL', pending)
      tally('arrived', #waiting)
      if mark ~= '' then
        tally(mark, #waiting)
      else
        for _, action in ipairs(waiting) do
          out[#out + 1] = '[' .. content .. ',' .. action .. ']'
        end
      end
    end
  end
end
return send()
