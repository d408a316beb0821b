-- Read visitors' states on the owner's behalf, which proves that nobody newer owns the shard.
--
-- KEYS  own (hash), state (hash)
-- ARGV  token, epoch, member of each visitor
-- Returns {"OK", bytes or false for each visitor ...}, {"FENCED"} for a newer owner's token,
--         {"REWOUND"} where the claim is gone: the epoch is older than the owner's, or there is none.
local held = redis.call('HMGET', KEYS[1], 'token', 'epoch')
if held[1] ~= ARGV[1] then
  return {tonumber(held[2] or 0) < tonumber(ARGV[2]) and 'REWOUND' or 'FENCED'}
end
local reply = {'OK'}
for i = 3, #ARGV do reply[#reply + 1] = redis.call('HGET', KEYS[2], ARGV[i]) end
return reply
