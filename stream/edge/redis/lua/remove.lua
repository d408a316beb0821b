-- Remove published entries from a shard's outbox.
--
-- KEYS  own (hash), out (stream)
-- ARGV  token, id of each entry
-- Returns {"OK", pending}, or {"FENCED"} for a foreign token.
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return {'FENCED'} end
for i = 2, #ARGV do redis.call('XDEL', KEYS[2], ARGV[i]) end
return {'OK', redis.call('XLEN', KEYS[2])}
