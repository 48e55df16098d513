-- Return a new epoch as text: above the stored one, above what the caller's log has seen, and never below
-- the clock, so that it does not go back when Redis was emptied or came back with an older state. The clock
-- is the server's, in microseconds: one for all workers, and no two scripts run within one of them.
-- Below 2^53 until the year 2255, so that numbers of Lua and JSON hold it exactly.
local function epoch_above(stored, seen)
  local time = redis.call('TIME')
  local clock = tonumber(time[1]) * 1000000 + tonumber(time[2])
  return string.format('%.0f', math.max(tonumber(stored or '0') + 1, tonumber(seen) + 1, clock))
end

