-- Who is in a roster, from behind a place on, and where the channel stands that tells of it.
local epoch, writer, ttl, after, most = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local h, changed = begin(load(), epoch, writer)
if renew(h, now(), ttl) or changed then save(h) end
-- Behind all sessions of a user, or behind all that begin as a session of its own does.
local function behind(member)
  if string.sub(member, 1, 1) == '0' then return '(' .. member .. '\1' end
  return '(' .. member .. string.rep('\255', 17)
end
-- Where a member's sessions begin: all before its key.
local function of(found)
  if string.sub(found, 1, 1) == '0' then return string.sub(found, 1, -26) end
  return string.sub(found, 1, 9)
end
local from, members, refs, last, more = after == '' and '-' or behind(after), 0, {}, '', false
while members <= most and not more do
  local found = redis.call('ZRANGEBYLEX', KEYS[3], from, '+', 'LIMIT', 0, most - members + 1)
  if #found == 0 then break end
  for _, each in ipairs(found) do
    local member = of(each)
    if member ~= last then
      if members == most then
        more = true
        break
      end
      members, last = members + 1, member
      refs[members] = string.sub(each, -24)
    end
  end
  -- Of a user, there may be more sessions than were found, before the next member.
  from = behind(last)
end
if members == 0 then return { h[EPOCH], h[SEQ], tonumber(redis.call('HGET', KEYS[4], '') or 0), '', {} } end
local visits, rows = redis.call('HMGET', KEYS[4], '', unpack(refs)), {}
for i, ref in ipairs(refs) do
  if visits[i + 1] then
    local _, since, _, user, about = visit(visits[i + 1])
    local count = 1
    if user ~= '' then count = redis.call('ZLEXCOUNT', KEYS[3], '[0' .. user .. '\0', '(0' .. user .. '\1') end
    for _, field in ipairs({ ref, count, since, about }) do rows[#rows + 1] = field end
  end
end
return { h[EPOCH], h[SEQ], tonumber(visits[1] or 0), more and last or '', rows }
