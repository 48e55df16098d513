-- Remember queries, send their impressions, and join the events that came before them. A record of a known
-- query id is a further page of its list, or a duplicate.
-- items: {query id, content, mark, whether to send impressions, shopper, hour}

local function absent(part)
  return part == nil or part == cjson.null
end

-- The same rule as `domain/pages.py:goes_on`: of the same asker, and longer. Content is a `JoinableQuery`.
local function goes_on(before, record)
  local known, new = cjson.decode(before), cjson.decode(record)
  for _, part in ipairs({1, 4, 6}) do
    if known[part] ~= new[part] then
      return false
    end
  end
  if absent(known[8]) ~= absent(new[8]) then
    return false
  end
  for part = 1, absent(new[8]) and 0 or 3 do
    if known[8][part] ~= new[8][part] then
      return false
    end
  end
  return #new[7] > #known[7]
end

-- Add a record of a query id that is known.
local function turn_page(it, known)
  local id, content, mark = it[1], it[2], it[3]
  local pages = prefix .. 'pages:' .. id
  local last = redis.call('LINDEX', pages, -1) or known
  if mark ~= '' or string.byte(known) ~= 91 or not goes_on(last, content) then
    tally('duplicate', 1)
    no_op = no_op + 1
  elseif exceeded(it[5], it[6]) then
    tally('robot', 1)
    no_op = no_op + 1
  else
    redis.call('RPUSH', pages, content)
    redis.call('PEXPIRE', pages, redis.call('PTTL', prefix .. 'q:' .. id))
    tally('page', 1)
    if it[4] == 1 then
      out[#out + 1] = '[' .. known .. ',0' .. further(id) .. ']'
    end
  end
end

for _, it in ipairs(batch.items) do
  local id, content, mark = it[1], it[2], it[3]
  local key = prefix .. 'q:' .. id
  local known = redis.call('GET', key)
  if known then
    turn_page(it, known)
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
