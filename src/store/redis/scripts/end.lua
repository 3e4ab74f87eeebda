-- Gives a session's end again to the node that had it, and does not run it.
local life, node = ARGV[1], ARGV[2]
local r = find(life)
if not r or r[ON_CLOSE] ~= GIVEN or r[CLOSER] ~= node then return { 'over' } end
return { 'done', ended(r) }
