-- The oldest items of a list, for the one node that drains it; they stay where they are. Only the newest take can be done.
local node, token, lease, most, most_bytes = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local drainer = redis.call('HGET', KEYS[2], 'node')
if drainer and drainer ~= node then return { 0, math.max(redis.call('PTTL', KEYS[2]), 0) } end
redis.call('HSET', KEYS[2], 'node', node, 'token', token)
redis.call('PEXPIRE', KEYS[2], lease)
local items, bytes = {}, 0
for i = 1, most do
  local item = redis.call('LINDEX', KEYS[1], -i)
  if not item then break end
  bytes = bytes + #item
  if i > 1 and bytes > most_bytes then break end
  items[i] = item
end
return { 1, items }
