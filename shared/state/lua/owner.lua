if fenced then
  return redis.error_reply(refusal)
end

