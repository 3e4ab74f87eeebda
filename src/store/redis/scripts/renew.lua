-- Renews a node's lease, forgets nodes whose lease is long past, and says which are alive. The format of all keys stands beside.
local node, lease, format = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local known = redis.call('GET', KEYS[2])
if known and known ~= format then return { 'format', known } end
local time = redis.call('TIME')
local at = time[1] * 1000 + math.floor(time[2] / 1000)
-- It outlives what it speaks of.
redis.call('SET', KEYS[2], format, 'PX', math.max(lease * 20, 7200000))
if node ~= '' then redis.call('ZADD', KEYS[1], at + lease, node) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', at)
redis.call('PEXPIRE', KEYS[1], lease * 20)
return { 'alive', at, redis.call('ZRANGE', KEYS[1], 0, -1) }
