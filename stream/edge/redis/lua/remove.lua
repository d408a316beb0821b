-- Remove published entries from a shard's outbox.
--
-- KEYS  own (hash), out (stream)
-- ARGV  token, epoch, id of each entry
-- Returns {"OK", pending}, {"FENCED"} for a newer owner's token,
--         {"REWOUND"} where the claim is gone: the epoch is older than the owner's, or there is none.
local held = redis.call('HMGET', KEYS[1], 'token', 'epoch')
if held[1] ~= ARGV[1] then
  return {tonumber(held[2] or 0) < tonumber(ARGV[2]) and 'REWOUND' or 'FENCED'}
end
for i = 3, #ARGV do redis.call('XDEL', KEYS[2], ARGV[i]) end
return {'OK', redis.call('XLEN', KEYS[2])}
