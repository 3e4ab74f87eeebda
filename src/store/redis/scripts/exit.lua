-- Ends a session's stay in a roster, for good.
local inbox, epoch, writer, ttl = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local most, most_bytes, age, lead = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local ref, stay = ARGV[9], ARGV[10]
local at = now()
if is_over(ref, stay, at) then return 'over' end
redis.call('ZADD', KEYS[5], at + OVER_TTL, ref .. stay)
redis.call('PEXPIRE', KEYS[5], OVER_TTL)
local known, outcome = redis.call('HGET', KEYS[4], ref), 'absent'
if known then
  local its_stay, _, _, user, about = visit(known)
  if its_stay == stay then outcome = depart(ref, user, about, lead, at) and 'left' or 'present' end
end
publish_told(inbox, epoch, writer, ttl, most, most_bytes, age, at)
return outcome
