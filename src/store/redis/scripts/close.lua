-- Closes a session.
local life, code, text, node, token = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
local r, key = find(life)
if not r then return { 'over' } end
if r[ON_CLOSE] == GIVEN and r[END_TOKEN] == token then return { 'done', r[HOLDER], r[ATTACHMENT], ended(r) } end
if r[PHASE] == CLOSED then return { 'over' } end
local answer = { 'done', r[HOLDER], r[ATTACHMENT] }
if close(r, code, text, node, token) then answer[4] = ended(r) end
save(r, key)
return answer
