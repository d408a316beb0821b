-- Take a shard. Every earlier owner is fenced from now on.
--
-- KEYS  own (hash), state (hash), wake (sorted set), out (hash)
-- ARGV  token of the new owner, the format that it reads and writes, digest of its policies
-- Returns {"OK", epoch, watermark or "", score of the next wake-up or "", armed, pending,
--          digest of the policies that all wake-ups follow, or ""},
--         {"NEWER", format} if the shard was written in a newer format: it is not taken.
--
-- The keys' types are touched before anything is written, so that a foreign key fails the claim
-- here and never a commit halfway.
local states = redis.call('HLEN', KEYS[2])
local armed = redis.call('ZCARD', KEYS[3])
local pending = redis.call('HLEN', KEYS[4])
local own = redis.call('HMGET', KEYS[1], 'watermark', 'format', 'policy')
-- Before there was this field every shard had format 1.
local format = tonumber(own[2] or 1)
if format > tonumber(ARGV[2]) then return {'NEWER', format} end
local first = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
local epoch = redis.call('HINCRBY', KEYS[1], 'epoch', 1)
redis.call('HSET', KEYS[1], 'token', ARGV[1], 'format', ARGV[2])
redis.call('HDEL', KEYS[1], 'stopped')
local policy = own[3] or ''
if states == 0 and armed == 0 then -- no wake-up follows other policies
  redis.call('HSET', KEYS[1], 'policy', ARGV[3])
  policy = ARGV[3]
end
return {'OK', epoch, own[1] or '', first[2] or '', armed, pending, policy}
