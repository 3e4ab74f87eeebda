-- Ends a handler call, and appends what it has sent. A call that is given up on appends nothing and is not done.
local life, turn, node, limit, most, given_up = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == '1'
local r, key = find(life)
if not r then return { 'over' } end
if r[ON_CLOSE] == GIVEN and r[END_TOKEN] == turn then return { 'done', '', 0, -1, '', ended(r) } end
if r[RUNNER] ~= node or r[TURN] ~= turn then return { 'over' } end
local from = -1
if #ARGV > 6 and r[PHASE] == OPEN then
  local waited = r[UNREAD] > 0 or #ARGV > 7
  from = append(r, 7)
  if is_too_much(r, waited, limit, most) then
    close(r, 4501, 'Too slow: unread messages over the limit', node, turn)
    from = -1
  end
end
local waiting = r[WAITING]
if not given_up and r[RUNNING] ~= '' then r[DONE] = r[RUNNING] end
r[RUNNER], r[RUNNING], r[WAITING] = '', '', ''
local answer = { 'done', r[HOLDER], r[ATTACHMENT], from, waiting }
if r[ON_CLOSE] == RUNNING_CALL then
  r[ON_CLOSE], r[CLOSER], r[END_TOKEN] = GIVEN, node, turn
  answer[6] = ended(r)
end
save(r, key)
return answer
