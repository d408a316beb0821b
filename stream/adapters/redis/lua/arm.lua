-- Write wake-ups alone, computed anew from states that did not change.
--
-- KEYS  own (hash), wake (sorted set)
-- ARGV  token, epoch, digest of the policies that all wake-ups follow from now on, or "",
--       number of arguments for each of the two lists that follow:
--       wake-ups to set (due in ms, member ...), wake-ups to delete (member ...)
-- Returns {"OK", score of the next wake-up or "", armed},
--         {"FENCED"} for a newer owner's token,
--         {"REWOUND"} if the claim is gone: the epoch is older than the owner's, or there is none.
local held = redis.call('HMGET', KEYS[1], 'token', 'epoch')
if held[1] ~= ARGV[1] then
  return {tonumber(held[2] or 0) < tonumber(ARGV[2]) and 'REWOUND' or 'FENCED'}
end
local CHUNK = 4000 -- unpack() is bounded by Lua's stack; a multiple of two keeps pairs together
local at = 6
for list, command in ipairs({'ZADD', 'ZREM'}) do
  local last = at + tonumber(ARGV[3 + list]) - 1
  while at <= last do
    local to = math.min(at + CHUNK - 1, last)
    redis.call(command, KEYS[2], unpack(ARGV, at, to))
    at = to + 1
  end
end
if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], 'policy', ARGV[3]) end
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
return {'OK', first[2] or '', redis.call('ZCARD', KEYS[2])}
