-- The on_close of a session has run.
local r, key = find(ARGV[1])
if not r then return 'over' end
r[ON_CLOSE] = OVER
if key == KEYS[1] then
  save(r, key)
else
  redis.call('UNLINK', key)
  redis.call('SREM', anchors(r[CLOSER]), ARGV[2] .. r[LIFE])
  redis.call('ZREM', deadlines(), ARGV[2] .. r[LIFE])
end
return 'done'
