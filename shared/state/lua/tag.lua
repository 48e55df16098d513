-- KEYS[1]: the hash of a state. Every other key of its hash tag begins like it, so a prefix names them all.
local state = KEYS[1]
local prefix = string.sub(state, 1, -#'state' - 1)

