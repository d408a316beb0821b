-- Commit one step of a shard: all of it, or nothing.
--
-- KEYS  own (hash), state (hash), wake (sorted set), out (hash)
-- ARGV  token, epoch, watermark expected, watermark new,
--       number of arguments for each of the five lists that follow:
--       states to set (member, bytes ...), states to delete (member ...),
--       wake-ups to set (due in ms, member ...), wake-ups to delete (member ...),
--       entries (id, bytes ...)
-- Returns {"OK", score of the next wake-up or "", armed, pending},
--         {"DONE", the same} where the new watermark is there already,
--         {"FENCED"} for a newer owner's token, {"REWOUND"} for a foreign watermark, or where the
--         claim itself is gone: the epoch is older than the owner's, or there is none.
--
-- Redis runs a script to its end but does not undo a failed one. Types were checked by the claim and
-- every score is a number, so nothing below can fail; the watermark comes last all the same.
local held = redis.call('HMGET', KEYS[1], 'token', 'watermark', 'epoch')
if held[1] ~= ARGV[1] then
  return {tonumber(held[3] or 0) < tonumber(ARGV[2]) and 'REWOUND' or 'FENCED'}
end

local CHUNK = 4000 -- unpack() is bounded by Lua's stack; a multiple of two keeps pairs together
local at = 10
local function each(command, key, count)
  local last = at + count - 1
  while at <= last do
    local to = math.min(at + CHUNK - 1, last)
    redis.call(command, key, unpack(ARGV, at, to))
    at = to + 1
  end
end

local function answer(word)
  local first = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
  return {word, first[2] or '', redis.call('ZCARD', KEYS[3]), redis.call('HLEN', KEYS[4])}
end

if held[2] == ARGV[4] then return answer('DONE') end
if (held[2] or '') ~= ARGV[3] then return {'REWOUND'} end

each('HSET', KEYS[2], tonumber(ARGV[5]))
each('HDEL', KEYS[2], tonumber(ARGV[6]))
each('ZADD', KEYS[3], tonumber(ARGV[7]))
each('ZREM', KEYS[3], tonumber(ARGV[8]))
each('HSET', KEYS[4], tonumber(ARGV[9]))
redis.call('HSET', KEYS[1], 'watermark', ARGV[4])
return answer('OK')
