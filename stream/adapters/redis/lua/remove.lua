-- Remove published entries from a shard's outbox.
--
-- KEYS  own (hash), out (hash)
-- ARGV  token, epoch, id of each entry
-- Returns {"OK", pending}, {"FENCED"} for a newer owner's token,
--         {"REWOUND"} where the claim is gone: the epoch is older than the owner's, or there is none.
local held = redis.call('HMGET', KEYS[1], 'token', 'epoch')
if held[1] ~= ARGV[1] then
  return {tonumber(held[2] or 0) < tonumber(ARGV[2]) and 'REWOUND' or 'FENCED'}
end
local CHUNK = 4000 -- unpack() is bounded by Lua's stack
for at = 3, #ARGV, CHUNK do
  redis.call('HDEL', KEYS[2], unpack(ARGV, at, math.min(at + CHUNK - 1, #ARGV)))
end
return {'OK', redis.call('HLEN', KEYS[2])}
