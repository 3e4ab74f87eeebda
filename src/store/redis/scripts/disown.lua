-- Lets a session go as if nothing had been handed out: by its attachment, or by the token of an attach whose answer was lost.
local life, attachment, token, member = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local r, key
if token == '' then r, key = find(life) else r, key = load(KEYS[1]), KEYS[1] end
if not r then return 'over' end
if r[HOLDER] == '' or (token == '' and r[ATTACHMENT] ~= attachment) or (token ~= '' and r[TOKEN] ~= token) then
  return 'fenced'
end
if r[OPENING] == ANCHORED then
  -- Its node has no such session: it was anchored when it had ended already.
  redis.call('SREM', anchors(r[HOLDER]), member)
  r[ON_CLOSE] = OVER
  remove(r, member)
  return 'done'
end
rewind(r)
detach(r, member)
save(r, key)
return 'done'
