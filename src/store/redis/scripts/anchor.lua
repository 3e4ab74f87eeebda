-- Writes down a session that lives in a node's memory; again, if its answer was lost.
local member, node, life, origin, delay = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local r = load(KEYS[1])
if r and r[LIFE] ~= life then return 'taken' end
if not r then
  if redis.call('EXISTS', taken(life)) == 1 then return 'over' end
  local start = now()
  r = {
    'S2', life, OPEN, NOBODY, '', 0, '', 1, node, '',
    start + delay, start + ANCHOR_CHECK, delay, 1, 1, 1, 1, 0, 0, 0,
    0, 0, '', '', '', '', '', 0, 0,
    0, 0, 0, life, '', '', '', '', 0,
    ANCHORED, 0, '', 0,
  }
  redis.call('UNLINK', KEYS[1] .. ':origin')
  redis.call('HSET', KEYS[1] .. ':origin', '', origin)
  redis.call('PEXPIRE', KEYS[1] .. ':origin', TTL + 2 * delay)
  redis.call('SADD', anchors(node), member)
  redis.call('PEXPIRE', anchors(node), 2 * TTL)
  remind(r[DUE], member)
  keep(r, KEYS[1])
elseif r[PHASE] == CLOSED or r[HOLDER] ~= node then
  return 'over'
end
for i = 6, #ARGV, 2 do redis.call('HSET', KEYS[1] .. ':origin', 'a' .. ARGV[i], ARGV[i + 1]) end
return 'done'
