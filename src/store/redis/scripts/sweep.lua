-- Looks at the sessions of a bucket whose deadline is past. ARGV: the node that looks,
-- a token, the session's member among the deadlines, whether nodes and deadlines may be judged, nodes that live, and nodes
-- that are dead. What a node of neither kind has to do with the session is not judged: it may have come just now.
local node, token, member, may_judge, alive, dead = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1', ARGV[5], ARGV[6]

local function is_among(nodes, id)
  for i = 1, #nodes, 8 do
    if string.sub(nodes, i, i + 7) == id then return true end
  end
  return false
end

local function is_alive(id)
  return not is_among(dead, id)
end

local ending = #member > 32 and string.sub(member, 33)
local key = ending and KEYS[1] .. ':' .. ending or KEYS[1]
local fine, r = pcall(load, key)
if not fine then
  redis.call('ZREM', deadlines(), member)
  return { 'foreign' }
end
if not r then
  redis.call('ZREM', deadlines(), member)
  return { 'gone' }
end
local at = now()

local function again(due)
  r[DUE] = due
  remind(due, member)
  for _, part in ipairs({ ':own', ':subscriptions', ':origin' }) do
    redis.call('PEXPIRE', KEYS[1] .. part, TTL + 2 * r[DELAY])
  end
  keep(r, key)
end

-- When its handler has last seen to the session, if that is asked for.
local function tended()
  local value = r[PHASE] == OPEN and redis.call('HGET', KEYS[1] .. ':origin', TENDED)
  return value and tonumber(value)
end

-- The session, if it is time that its handler sees to it, which then is as good as done.
local function to_be_tended(last)
  if not last or at - last < TEND then return nil end
  redis.call('HSET', KEYS[1] .. ':origin', TENDED, at)
  return { 'tended', r[LIFE], redis.call('HGETALL', KEYS[1] .. ':origin') }
end
if not may_judge then
  again(at + 1000)
  return { 'kept' }
end
for _, id in ipairs({ r[HOLDER], r[RUNNER], r[ON_CLOSE] == GIVEN and r[CLOSER] or '' }) do
  if id ~= '' and not is_among(alive, id) and not is_among(dead, id) then return { 'stranger', id } end
end
if r[RUNNER] ~= '' and not is_alive(r[RUNNER]) then
  -- The call died with its node: its client's request is repeated, or was never answered.
  r[RUNNER], r[TURN], r[RUNNING] = '', '', ''
  if r[ON_CLOSE] == RUNNING_CALL then r[ON_CLOSE], r[CLOSER], r[END_TOKEN] = GIVEN, node, token end
end
if r[ON_CLOSE] == GIVEN and r[CLOSER] ~= node and not is_alive(r[CLOSER]) then
  redis.call('SREM', anchors(r[CLOSER]), member)
  r[CLOSER], r[END_TOKEN] = node, token
end
if r[ON_CLOSE] == GIVEN and r[END_TOKEN] == token then
  local answer = { 'ended', ended(r) }
  if ending then note_given(r, member) end
  again(at + CHECK)
  return answer
end
if ending then
  again(at + CHECK)
  if r[ON_CLOSE] == GIVEN then return { 'closing', r[LIFE], r[CLOSER] } end
  if r[ON_CLOSE] == RUNNING_CALL then return { 'waiting', r[LIFE], r[RUNNER], r[TURN] } end
  return { 'kept' }
end
if r[OPENING] == UNOPENED and r[PHASE] == OPEN and (r[HOLDER] ~= '' or r[DEADLINE] > at) then
  -- Its on_open has not run to its end: it died with its node, or was given up, or takes its time.
  again(r[HOLDER] ~= '' and at + 5000 or math.min(r[DEADLINE], at + 5000))
  if r[RUNNER] == '' or r[RUNNER] == node and r[TURN] == token then
    r[RUNNER], r[TURN] = node, token
    save(r, key)
    return { 'opening', r[LIFE], redis.call('HGETALL', KEYS[1] .. ':origin') }
  end
  return { 'calling', r[LIFE], r[RUNNER], r[TURN] }
end
if r[OPENING] == ANCHORED and not is_alive(r[HOLDER]) then
  redis.call('SET', taken(r[LIFE]), '', 'PX', TAKEN_TTL)
  return { 'ended', end_anchored(r, member, 1002, 'Connection interrupted', node, token) }
end
if r[HOLDER] ~= '' then
  local answer = { is_alive(r[HOLDER]) and 'held' or 'freed', r[LIFE], r[HOLDER], r[ATTACHMENT] }
  if answer[1] == 'held' then
    local check = CHECK
    if r[OPENING] == ANCHORED then
      check = r[PHASE] == OPEN and ANCHOR_CHECK or CLOSING_CHECK
      redis.call('PEXPIRE', anchors(r[HOLDER]), 2 * TTL)
    end
    again(at + check)
    return to_be_tended(tended()) or answer
  end
  rewind(r)
  r[HOLDER], r[DEADLINE] = '', at + r[DELAY]
  again(r[DEADLINE])
  return answer
end
if r[DEADLINE] > at then
  local last = tended()
  again(last and math.min(r[DEADLINE], at + TEND) or r[DEADLINE])
  local session = to_be_tended(last)
  if session then return session end
  return { 'kept' }
end
if r[PHASE] == OPEN then
  local answer = { 'kept' }
  if close(r, 1001, 'Client went away', node, token) then answer = { 'ended', ended(r) } end
  remove(r, member)
  return answer
end
local answer = { 'kept' }
if r[ON_CLOSE] == GIVEN then answer = { 'closing', r[LIFE], r[CLOSER] } end
remove(r, member)
return answer
