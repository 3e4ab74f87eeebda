-- The client's connection was lost, or closed by its client for the reason in ARGV[6], ARGV[7]. A session that can be resumed
-- is only let go when it was lost, and so is a closed one: its client may yet be told why it closed.
local life, attachment, node, token, member = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
local code, text = tonumber(ARGV[6] or 0), ARGV[7]
local r, key = find(life)
if not r then
  if redis.call('GET', taken(life)) == '' then return { 'fenced' } end
  if code ~= 0 then redis.call('SET', taken(life), 'own', 'PX', QUIT_TTL) end
  return { 'over' }
end
if r[ON_CLOSE] == GIVEN and r[END_TOKEN] == token then return { 'done', ended(r) } end
if not is_held(r, attachment) then return { 'fenced' } end
if r[OPENING] == ANCHORED then
  if code == 0 then code, text = 1002, 'Connection interrupted' end
  redis.call('SET', taken(life), 'own', 'PX', QUIT_TTL)
  return { 'done', end_anchored(r, member, code, text, node, token) }
end
if r[PHASE] == CLOSED or (r[ATTEMPT] > 0 and code == 0) then
  detach(r, member)
  save(r, key)
  return { 'done' }
end
r[HOLDER] = ''
local answer = { 'done' }
if code == 0 then code, text = 1002, 'Connection interrupted' end
if close(r, code, text, node, token) then answer[2] = ended(r) end
remove(r, member)
return answer
