-- Store the models, unless another trainer has stored them in the meantime.
--
-- KEYS  models (hash)
-- ARGV  offset expected ("" for none), offset new, snapshot bytes
-- Returns 1 when stored (now or by the same call before), 0 when the stored offset is another one.
local known = redis.call('HGET', KEYS[1], 'offset') or ''
if known == ARGV[2] then return 1 end
if known ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'offset', ARGV[2], 'snapshot', ARGV[3])
return 1
