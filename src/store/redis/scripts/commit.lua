-- The client has received all this: it is not kept any longer.
local life, attachment, own, replay = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local r, key = find(life)
if not r then return 'over' end
if not is_held(r, attachment) then return 'fenced' end
hand(r, own)
-- Not all that the receiver was handed: a look may have handed it more since this was sent.
r[SENT] = math.max(r[SENT], math.min(own, r[LAST]))
r[REPLAY], r[REPLAY_SENT] = replay, replay
receive(r)
if r[PHASE] == OPEN then note(r, 5, 0) end
save(r, key)
return 'done'
