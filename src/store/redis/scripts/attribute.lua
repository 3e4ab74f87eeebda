-- Sets an attribute, or removes it where no value is given.
local r, key = find(ARGV[1])
if not r or r[PHASE] == CLOSED then return 'over' end
if ARGV[3] then
  redis.call('HSET', KEYS[1] .. ':origin', 'a' .. ARGV[2], ARGV[3])
  local due = now() + TEND
  if 'a' .. ARGV[2] == TENDED and r[DUE] > due then
    r[DUE] = due
    remind(due, string.sub(KEYS[1], -32))
    save(r, key)
  end
else
  redis.call('HDEL', KEYS[1] .. ':origin', 'a' .. ARGV[2])
end
return 'done'
