-- The client's connection was lost. A closed session is only let go: its client may yet be told why it closed.
local life, attachment, node, token, member = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
local r, key = find(life)
if not r then return { 'over' } end
if r[ON_CLOSE] == GIVEN and r[END_TOKEN] == token then return { 'done', ended(r) } end
if not is_held(r, attachment) then return { 'fenced' } end
if r[PHASE] == CLOSED then
  detach(r, member)
  save(r, key)
  return { 'done' }
end
r[HOLDER] = ''
local answer = { 'done' }
if close(r, 1002, 'Connection interrupted', node, token) then answer[2] = ended(r) end
remove(r, member)
return answer
