-- Removes the oldest items, which were dealt with, unless the list was taken again since; keeps what was refused.
local node, token, count, most = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local drainer, current, done = unpack(redis.call('HMGET', KEYS[2], 'node', 'token', 'done'))
if drainer ~= node then return 0 end
if current ~= token then
  -- This very command may have run before.
  return done == token and 1 or 0
end
redis.call('HDEL', KEYS[2], 'token')
redis.call('HSET', KEYS[2], 'done', token)
if count > 0 then redis.call('RPOP', KEYS[1], count) end
for i = 5, #ARGV do redis.call('LPUSH', KEYS[3], ARGV[i]) end
if #ARGV >= 5 then redis.call('LTRIM', KEYS[3], 0, most - 1) end
return 1
