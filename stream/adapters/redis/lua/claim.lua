-- Take a shard. Whoever held it before is fenced from now on.
--
-- KEYS  own (hash), state (hash), wake (sorted set), out (hash)
-- ARGV  token of the new owner
-- Returns {epoch, watermark or "", score of the next wake-up or "", armed, pending}.
--
-- The keys' types are touched before anything is written, so that a foreign key fails the claim
-- here and never a commit halfway.
redis.call('HLEN', KEYS[2])
local armed = redis.call('ZCARD', KEYS[3])
local pending = redis.call('HLEN', KEYS[4])
local watermark = redis.call('HGET', KEYS[1], 'watermark') or ''
local first = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
local epoch = redis.call('HINCRBY', KEYS[1], 'epoch', 1)
redis.call('HSET', KEYS[1], 'token', ARGV[1])
redis.call('HDEL', KEYS[1], 'stopped')
return {epoch, watermark, first[2] or '', armed, pending}
