-- Takes hold of a session, or creates it.
local member, node, request, take_life, take, token = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]
local life, released, attempt, origin, delay = ARGV[7], ARGV[8] == '1', tonumber(ARGV[9]), ARGV[10], tonumber(ARGV[11])
local resumes = ARGV[12] == '1'
local r = load(KEYS[1])
if not r then
  if resumes then return { 'gone' } end
  if origin == '' then return { 'full' } end
  local start = now()
  local due = start + (released and delay or CHECK)
  r = {
    'S2', life, OPEN, NOBODY, '', 0, '', 1, released and '' or node, request,
    start + delay, due, delay, 0, released and 1 or 0, 1, released and 1 or 0, 0, 0, 0,
    0, 0, node, token, '', '', '', 0, 0,
    attempt, 0, released and 1 or 0, token, '', '', '', '', 0,
    1, released and 1 or 0, '', 0,
  }
  redis.call('UNLINK', KEYS[1] .. ':own', KEYS[1] .. ':subscriptions', KEYS[1] .. ':origin')
  redis.call('HSET', KEYS[1] .. ':origin', '', origin)
  redis.call('PEXPIRE', KEYS[1] .. ':origin', TTL + 2 * delay)
  remind(due, member)
  keep(r, KEYS[1])
  return { 'created', life, 1 }
end
if r[TOKEN] == token then
  -- This very command has run before: its answer was lost.
  if r[TURN] == token then return { 'created', r[LIFE], r[ATTACHMENT] } end
  return { 'held', r[LIFE], snapshot(r, r[RECEIVED]), '', 0 }
end
if attempt < r[ATTEMPT] then return { 'superseded' } end
local resumed, repeated = attempt > r[ATTEMPT], request ~= '' and request == r[REQUEST]
-- A balancer repeats a request a few times; whoever names all requests alike is not to get the same for ever.
if repeated and r[REPEATS] >= MOST_REPEATS then repeated = false end
-- An attach of a request before the last one comes late: its client has long had the answer of another attempt.
if not repeated and request ~= '' and string.find(r[OLDER], request, 1, true) then return { 'stale' } end
if r[HOLDER] ~= '' and not repeated and not resumed and not (take_life == r[LIFE] and take == r[ATTACHMENT]) then
  return { 'busy', r[LIFE], r[ATTACHMENT], r[HOLDER] }
end
local fenced, fenced_attachment = r[HOLDER], r[ATTACHMENT]
if resumed then
  -- Commits that nobody has confirmed are void, also when a later request confirms later ones.
  if r[SUBSCRIPTIONS] > 0 then
    local known = redis.call('HGETALL', KEYS[1] .. ':subscriptions')
    for i = 2, #known, 2 do
      local generation, old_epoch, old_seq, _, _, by = struct.unpack(SUBSCRIPTION, known[i])
      if by > r[CONFIRMED] then
        redis.call('HSET', KEYS[1] .. ':subscriptions', known[i - 1],
          struct.pack(SUBSCRIPTION, generation, old_epoch, old_seq, old_epoch, old_seq, 0))
      end
    end
  end
elseif not repeated then
  receive(r)
  r[CONFIRMED] = r[ATTACHMENT]
  -- The client asks again of its own accord, so it knows that its session is open: a second `o` would end it.
  r[RECEIVED] = math.max(r[RECEIVED], 1)
  if r[REPLAY_SENT] == REPLAY_OPEN then r[REPLAY_SENT] = REPLAY_RUNNING end
end
if resumed then r[ATTEMPT], r[REPLAY_SENT] = attempt, REPLAY_OPEN end
if resumed or not repeated then
  r[REPLAY], r[BATCHED], r[REPEATS] = r[REPLAY_SENT], 0, 0
  if r[REQUEST] ~= request then r[OLDER] = remember(r[REQUEST], r[OLDER], OLD_REQUESTS) end
else
  r[REPEATS] = r[REPEATS] + 1
end
rewind(r)
r[ATTACHMENT] = r[ATTACHMENT] + 1
r[REQUEST], r[HOLDER], r[TOKEN] = request, node, token
save(r, KEYS[1])
return { 'held', r[LIFE], snapshot(r, r[RECEIVED]), fenced, fenced_attachment }
