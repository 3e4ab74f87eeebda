-- Who is in a roster, from behind a place on, and where the channel stands that tells of it.
local epoch, writer, ttl, after, most = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local h, changed = begin(load(), epoch, writer)
if renew(h, now(), ttl) or changed then save(h) end
if redis.call('EXISTS', KEYS[3]) == 1 then
  redis.call('PEXPIRE', KEYS[3], ROSTER_TTL)
  redis.call('PEXPIRE', KEYS[4], ROSTER_TTL)
end
-- Behind all sessions of a user, or behind all that begin as a session of its own does.
local function behind(member)
  if string.sub(member, 1, 1) == '0' then return '(' .. member .. '\1' end
  return '(' .. member .. string.rep('\255', 17)
end
local from, last, rows = after == '' and '-' or behind(after), '', {}
local found = redis.call('ZRANGEBYLEX', KEYS[3], from, '+', 'LIMIT', 0, 1)[1]
while found and #rows < 4 * most do
  local ref, sessions = string.sub(found, -24), 1
  if string.sub(found, 1, 1) == '0' then
    last = string.sub(found, 1, -26)
    sessions = redis.call('ZLEXCOUNT', KEYS[3], '[' .. last .. '\0', '(' .. last .. '\1')
  else
    last = string.sub(found, 1, 9)
  end
  local _, since, _, _, about = visit(redis.call('HGET', KEYS[4], ref))
  for _, field in ipairs({ ref, sessions, since, about }) do rows[#rows + 1] = field end
  found = redis.call('ZRANGEBYLEX', KEYS[3], behind(last), '+', 'LIMIT', 0, 1)[1]
end
return { h[EPOCH], h[SEQ], tonumber(redis.call('HGET', KEYS[4], '') or 0), found and last or '', rows }
