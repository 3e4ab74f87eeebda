-- Ends a handler call, keeps what it changed, and appends what it has sent. A call that is given up on appends nothing and is not done.
local life, turn, node, limit, most, given_up = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == '1'
local r, key = find(life)
if not r then return { 'over' } end
if r[ON_CLOSE] == GIVEN and r[END_TOKEN] == turn then return { 'done', '', 0, -1, '', ended(r) } end
if r[RUNNER] == '' and r[TURN] == turn then
  -- This very command has run before.
  return { 'done', '', 0, -1, '' }
end
if r[RUNNER] ~= node or r[TURN] ~= turn then return { 'fenced' } end
local from, changes = -1, tonumber(ARGV[9])
local frames = 10 + 3 * changes
if not given_up then
  -- Of a session that is over, too: its on_close sees what its last call has changed.
  local aside = r[INFO] ~= '' and cmsgpack.unpack(r[INFO])
  for i = 10, frames - 1, 3 do
    local name, value = 'a' .. ARGV[i], ARGV[i + 1] == '1' and ARGV[i + 2]
    if aside then
      for at = #aside - 1, 1, -2 do
        if aside[at] == name then
          table.remove(aside, at)
          table.remove(aside, at)
        end
      end
      if value then
        table.insert(aside, name)
        table.insert(aside, value)
      end
    elseif value then
      redis.call('HSET', KEYS[1] .. ':origin', name, value)
    else
      redis.call('HDEL', KEYS[1] .. ':origin', name)
    end
  end
  if aside then r[INFO] = cmsgpack.pack(aside) end
  if r[PHASE] == OPEN and ARGV[7] == '1' then r[TERMS] = ARGV[8] end
end
if #ARGV >= frames and r[PHASE] == OPEN then
  local waited = r[UNREAD] > 0 or #ARGV > frames
  from = append(r, frames)
  if is_too_much(r, waited, limit, most) then
    close(r, 4501, 'Too slow: unread messages over the limit', node, turn)
    from = -1
  end
end
local waiting = r[WAITING]
if not given_up then r[OPENING] = 0 end
if not given_up and r[RUNNING] ~= '' then r[DONE] = remember(r[RUNNING], r[DONE], DONE_REQUESTS) end
r[RUNNER], r[RUNNING], r[WAITING] = '', '', ''
if given_up then r[TURN] = '' end
local answer = { 'done', r[HOLDER], r[ATTACHMENT], from, waiting }
if r[ON_CLOSE] == RUNNING_CALL then
  r[ON_CLOSE], r[CLOSER], r[END_TOKEN] = GIVEN, node, turn
  if key ~= KEYS[1] then note_given(r, string.sub(KEYS[1], -32) .. r[LIFE]) end
  answer[6] = ended(r)
end
save(r, key)
return answer
