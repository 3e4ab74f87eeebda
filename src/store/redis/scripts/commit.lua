-- The client has received all this: it is not kept any longer.
local life, attachment, own = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local r, key = find(life)
if not r then return 'over' end
if not is_held(r, attachment) then return 'fenced' end
hand(r, own)
r[SENT] = r[HANDED]
receive(r)
if r[PHASE] == OPEN then note(r, 4, 0) end
save(r, key)
return 'done'
