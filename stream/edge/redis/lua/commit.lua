-- Commit one step of a shard: all of it, or nothing.
--
-- KEYS  own (hash), state (hash), wake (sorted set), out (stream)
-- ARGV  token, watermark expected, watermark new,
--       number of arguments for each of the five lists that follow:
--       states to set (member, bytes ...), states to delete (member ...),
--       wake-ups to set (due in ms, member ...), wake-ups to delete (member ...), entries (bytes ...)
-- Returns {"OK", score of the next wake-up or "", armed, pending, id of each entry ...},
--         {"DONE", the same without ids} where the new watermark is there already,
--         {"FENCED"} for a foreign token, {"REWOUND"} for a foreign watermark or none at all.
--
-- Redis runs a script to its end but does not undo a failed one. Types were checked by the claim and
-- every score is a number, so nothing below can fail; the watermark comes last all the same.
local held = redis.call('HMGET', KEYS[1], 'token', 'watermark')
if not held[1] then return {'REWOUND'} end
if held[1] ~= ARGV[1] then return {'FENCED'} end

local CHUNK = 4000 -- unpack() is bounded by Lua's stack; a multiple of two keeps pairs together
local at = 9
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
  return {word, first[2] or '', redis.call('ZCARD', KEYS[3]), redis.call('XLEN', KEYS[4])}
end

if held[2] == ARGV[3] then return answer('DONE') end
if (held[2] or '') ~= ARGV[2] then return {'REWOUND'} end

each('HSET', KEYS[2], tonumber(ARGV[4]))
each('HDEL', KEYS[2], tonumber(ARGV[5]))
each('ZADD', KEYS[3], tonumber(ARGV[6]))
each('ZREM', KEYS[3], tonumber(ARGV[7]))
local ids = {}
for i = at, at + tonumber(ARGV[8]) - 1 do
  ids[#ids + 1] = redis.call('XADD', KEYS[4], '*', 'e', ARGV[i])
end
redis.call('HSET', KEYS[1], 'watermark', ARGV[3])

local reply = answer('OK')
for _, id in ipairs(ids) do reply[#reply + 1] = id end
return reply
