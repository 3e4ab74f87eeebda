-- Appends frames to the session's own.
local life, token, limit, most, node = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local r, key = find(life)
if not r then return { 'over' } end
if r[ON_CLOSE] == GIVEN and r[END_TOKEN] == token then return { 'done', '', 0, 0, ended(r) } end
if r[PHASE] == CLOSED then return { 'over' } end
for i = 1, #r[PUSHES], 8 do
  if string.sub(r[PUSHES], i, i + 7) == token then return { 'done', '', 0, 0 } end
end
r[PUSHES] = string.sub(token .. r[PUSHES], 1, 32)
local waited = r[UNREAD] > 0 or #ARGV > 6
local from = append(r, 6)
local answer = { 'done', r[HOLDER], r[ATTACHMENT], from }
if is_too_much(r, waited, limit, most) then
  answer[4] = -1
  if close(r, 4501, 'Too slow: unread messages over the limit', node, token) then answer[5] = ended(r) end
end
save(r, key)
return answer
