-- Note why a shard's owner reads no further, for those who look; the next claim takes it away.
--
-- KEYS  own (hash)
-- ARGV  token, epoch, why
-- Returns {"OK"}, {"FENCED"} for a newer owner's token,
--         {"REWOUND"} where the claim is gone: the epoch is older than the owner's, or there is none.
local held = redis.call('HMGET', KEYS[1], 'token', 'epoch')
if held[1] ~= ARGV[1] then
  return {tonumber(held[2] or 0) < tonumber(ARGV[2]) and 'REWOUND' or 'FENCED'}
end
redis.call('HSET', KEYS[1], 'stopped', ARGV[3])
return {'OK'}
