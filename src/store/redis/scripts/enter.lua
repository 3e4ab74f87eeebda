-- Writes a session into a roster, or says again that it is there.
local inbox, epoch, writer, ttl = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local most, most_bytes, age, lead = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local ref, stay, user, about = ARGV[9], ARGV[10], ARGV[11], ARGV[12]
local at = now()
if is_over(ref, stay, at) then return 'over' end
local since, known, outcome = at, redis.call('HGET', KEYS[4], ref), 'present'
if known then
  local _, known_since, _, known_user, known_about = visit(known)
  since = known_since
  if known_user ~= user then
    depart(ref, known_user, known_about, lead, at)
    since, known = at, nil
  end
end
if not known then
  if not has_session(user) then outcome = 'joined' end
  redis.call('ZADD', KEYS[3], 0, place(ref, user))
end
redis.call('HSET', KEYS[4], ref, struct.pack(VISIT, stay, since, at, #user) .. user .. about)
if outcome == 'joined' then tell(lead, 'join', about, redis.call('HINCRBY', KEYS[4], '', 1), at) end
-- Of whom nobody has spoken for long, the session is gone without a word.
local some = redis.call('HRANDFIELD', KEYS[4], LOOKS, 'WITHVALUES')
for i = 1, #some, 2 do
  if some[i] ~= '' then
    local _, _, heard, its_user, its_about = visit(some[i + 1])
    if at - heard > STALE then depart(some[i], its_user, its_about, lead, at) end
  end
end
redis.call('PEXPIRE', KEYS[3], ROSTER_TTL)
redis.call('PEXPIRE', KEYS[4], ROSTER_TTL)
publish_told(inbox, epoch, writer, ttl, most, most_bytes, age, at)
return outcome
