-- What waits for the receiver that holds the session, after what it was handed.
local r, key = find(ARGV[1])
if not r then return { 'over' } end
if not is_held(r, tonumber(ARGV[2])) then return { 'fenced' } end
local own = tonumber(ARGV[3])
if own > r[HANDED] then
  hand(r, own)
  save(r, key)
end
return { 'held', snapshot(r, own) }
