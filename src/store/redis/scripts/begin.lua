-- Begins a handler call for a client's messages, unless one is under way.
local node, request, token, count, rate, dead = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local attempt = tonumber(ARGV[7])
local r = load(KEYS[1])
if not r or attempt ~= r[ATTEMPT] then return { 'unknown' } end
if r[TURN] == token and r[RUNNER] == node then return { 'run', r[LIFE], redis.call('HGETALL', KEYS[1] .. ':origin'), r[OPENING] } end
if r[ON_CLOSE] == GIVEN and r[END_TOKEN] == token then return { 'many', r[HOLDER], r[ATTACHMENT], r[LIFE], ended(r) } end
if r[PHASE] == CLOSED then return { 'closed' } end
if request ~= '' and string.find(r[DONE], request, 1, true) then return { 'finished' } end
if r[RUNNER] ~= '' and (dead == '' or r[TURN] ~= dead) then
  if not string.find(r[WAITING], node, 1, true) then
    r[WAITING] = string.sub(node .. r[WAITING], 1, 64)
    save(r, KEYS[1])
  end
  return { 'wait', r[LIFE], r[RUNNER], r[TURN] }
end
if rate > 0 then
  local at = now()
  if at - r[RATE_SINCE] >= 1000 then r[RATE_SINCE], r[RATE] = at, 0 end
  r[RATE] = r[RATE] + count
  if r[RATE] > rate then
    r[RUNNER] = ''
    local answer = { 'many', r[HOLDER], r[ATTACHMENT], r[LIFE] }
    if close(r, 4502, 'Too many messages', node, token) then answer[5] = ended(r) end
    save(r, KEYS[1])
    return answer
  end
end
r[RUNNER], r[TURN], r[RUNNING] = node, token, request
save(r, KEYS[1])
return { 'run', r[LIFE], redis.call('HGETALL', KEYS[1] .. ':origin'), r[OPENING] }
