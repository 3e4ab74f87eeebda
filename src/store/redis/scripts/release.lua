-- Commits what was handed out, and lets the session go.
local life, attachment, own, replay, member = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local r, key = find(life)
if not r then return 'over' end
if not is_held(r, attachment) then
  local again = r[HOLDER] == '' and r[RELEASED] == attachment and r[ATTACHMENT] == attachment
  return again and 'done' or 'fenced'
end
hand(r, own)
r[SENT], r[REPLAY_SENT] = r[HANDED], replay
if r[PHASE] == OPEN then
  note(r, 6, attachment)
elseif r[SUBSCRIPTIONS] > 0 then
  -- What its channels had before the close was handed out: nothing more comes.
  redis.call('UNLINK', KEYS[1] .. ':subscriptions')
  r[SUBSCRIPTIONS] = 0
end
r[RELEASED], r[BATCHED] = attachment, 1
detach(r, member)
save(r, key)
return 'done'
