-- What all scripts of sessions share. KEYS: the session's record, which names all else of it; these are its fields.
local MAGIC, LIFE, PHASE, ON_CLOSE, CLOSER, CODE, TEXT, ATTACHMENT, HOLDER, REQUEST = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
local DEADLINE, DUE, DELAY, RECEIVED, SENT, LAST, HANDED, UNREAD, KEPT, CONFIRMED = 11, 12, 13, 14, 15, 16, 17, 18, 19, 20
local GENERATION, SUBSCRIPTIONS, RUNNER, TURN, RUNNING, DONE, WAITING, RATE_SINCE, RATE = 21, 22, 23, 24, 25, 26, 27, 28, 29
local ATTEMPT, REPLAY, RELEASED, TOKEN, END_TOKEN, PUSHES, TERMS, INFO, REPLAY_SENT = 30, 31, 32, 33, 34, 35, 36, 37, 38
local OPENING, BATCHED, OLDER, REPEATS = 39, 40, 41, 42

local OPEN, CLOSED = 0, 1
-- What comes next for the client: `o` of a resumed session, what it has missed, `o` of a new session.
local REPLAY_OVER, REPLAY_OPEN, REPLAY_RUNNING, REPLAY_NEW = 0, 1, 2, 4
-- Whose turn it is to run a closed session's on_close.
local NOBODY, RUNNING_CALL, GIVEN, OVER = 0, 1, 2, 3
-- What of its on_open is left to the store, beside none: to have it run again should its node die; of a session that
-- lives in its node's memory and has only an anchor here, nothing ever is.
local UNOPENED, ANCHORED = 1, 2
-- Milliseconds between two looks at an attached session, at an anchored one, and at one that its node has yet to end; and
-- that keys outlive the last sign of life.
local CHECK, ANCHOR_CHECK, CLOSING_CHECK, TTL = 20000, 240000, 5000, 600000
-- The attribute by which a session asks for its handler to see to it, and how often that is, in milliseconds.
local TENDED, TEND = 'asockhop.tended', 600000
-- How often one request is taken for a repeat; how many requests before the last one are remembered, and sends done.
local MOST_REPEATS, OLD_REQUESTS, DONE_REQUESTS = 32, 3, 4
-- Milliseconds that of an anchored session whose node was taken for dead it is known that others have ended it, and that of
-- one which its own node has ended it is known that it is over: an anchor that comes yet comes too late.
local TAKEN_TTL, QUIT_TTL = 86400000, 120000
-- What a frame costs beside its bytes, as limits count it.
local WEIGHT = 94

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- When the sessions of the bucket have to be looked at.
local function deadlines()
  return string.sub(KEYS[1], 1, -33) .. 'deadlines'
end

-- Has the session looked at, at the latest, at an instant.
local function remind(at, member)
  redis.call('ZADD', deadlines(), at, member)
  redis.call('PEXPIRE', deadlines(), 2 * TTL)
end

local function hex(bytes)
  return (string.gsub(bytes, '.', function(byte) return string.format('%02x', string.byte(byte)) end))
end

-- The anchors in this bucket of the sessions in a node's memory, and the ends that it was given and has yet to run: they
-- are looked for when it dies.
local function anchors(node)
  return string.sub(KEYS[1], 1, -33) .. 'anchors:' .. hex(node)
end

-- Says who has ended an anchored session: 'own', its own node; '' others, which that node hears should it wake.
local function taken(life)
  return KEYS[1] .. ':taken:' .. hex(life)
end

-- How a record is packed: its fields in their order, those of any length behind their length.
local RECORD = '>c2c8BBBc0I2I2c0I6Bc0Bc0I6I6I6I6I6I6I6I6I6I6I4I4Bc0Bc0Bc0Bc0Bc0I6I6I7BI6c8Bc0Bc0I4c0I4c0BBBBc0B'

local function load(key)
  local value = redis.call('GET', key)
  if not value then return nil end
  if string.sub(value, 1, 2) ~= 'S2' then error({ err = 'FOREIGN the value of the session is none of sockhop' }) end
  return { struct.unpack(RECORD, value) }
end

local function packed(r)
  return struct.pack(
    RECORD, r[MAGIC], r[LIFE], r[PHASE], r[ON_CLOSE], #r[CLOSER], r[CLOSER], r[CODE], #r[TEXT], r[TEXT], r[ATTACHMENT],
    #r[HOLDER], r[HOLDER], #r[REQUEST], r[REQUEST], r[DEADLINE], r[DUE], r[DELAY], r[RECEIVED], r[SENT], r[LAST],
    r[HANDED], r[UNREAD], r[KEPT], r[CONFIRMED], r[GENERATION], r[SUBSCRIPTIONS], #r[RUNNER], r[RUNNER], #r[TURN], r[TURN],
    #r[RUNNING], r[RUNNING], #r[DONE], r[DONE], #r[WAITING], r[WAITING], r[RATE_SINCE], r[RATE], r[ATTEMPT], r[REPLAY],
    r[RELEASED], r[TOKEN], #r[END_TOKEN], r[END_TOKEN], #r[PUSHES], r[PUSHES], #r[TERMS], r[TERMS],
    #r[INFO], r[INFO], r[REPLAY_SENT], r[OPENING], r[BATCHED], #r[OLDER], r[OLDER], r[REPEATS]
  )
end

-- Writes a record that is there already. How long it lives is renewed when the session is looked at.
local function save(r, key)
  redis.call('SET', key, packed(r), 'KEEPTTL')
end

-- Writes a record and has it live on.
local function keep(r, key)
  redis.call('SET', key, packed(r), 'PX', TTL + 2 * r[DELAY])
end

-- The session of one life, also when only its end is left of it, and the key where it is.
local function find(life)
  local r = load(KEYS[1])
  if r and r[LIFE] == life then return r, KEYS[1] end
  local ending = KEYS[1] .. ':' .. life
  r = load(ending)
  if r then return r, ending end
end

local function first(r)
  return math.max(r[RECEIVED], 1)
end

local function weigh(frames)
  local weight = 0
  for _, frame in ipairs(frames) do weight = weight + #frame + WEIGHT end
  return weight
end

-- Frames of the session's own from index `from` on.
local function frames_from(r, from)
  if r[LAST] <= math.max(from, first(r)) then return {} end
  local frames = redis.call('LRANGE', KEYS[1] .. ':own', math.max(from, first(r)) - first(r), -1)
  if #frames ~= r[LAST] - math.max(from, first(r)) then
    error({ err = 'MISSING frames of the session are gone' })
  end
  return frames
end

-- The receiver was handed all frames before `own`.
local function hand(r, own)
  own = math.min(own, r[LAST])
  if own > r[HANDED] then
    r[HANDED] = own
    r[UNREAD] = own == r[LAST] and 0 or weigh(frames_from(r, own))
  end
end

-- The client has all that was sent.
local function receive(r)
  local count = r[SENT] - first(r)
  if count > 0 then
    if r[SENT] >= r[LAST] then
      redis.call('UNLINK', KEYS[1] .. ':own')
      r[KEPT] = 0
    else
      r[KEPT] = r[KEPT] - weigh(redis.call('LPOP', KEYS[1] .. ':own', count))
    end
  end
  r[RECEIVED] = math.max(r[RECEIVED], r[SENT])
end

-- What was handed out may not have been received: the next receiver gets it again. A batch that was released stays as
-- it is: to a repeat of its request the very same is given again.
local function rewind(r)
  if r[BATCHED] == 1 then return end
  r[HANDED], r[SENT], r[UNREAD] = r[RECEIVED], r[RECEIVED], r[KEPT]
end

-- Lets the session's time run. `due` is its entry among the deadlines: too early an entry is looked at once in vain.
local function detach(r, member)
  r[HOLDER], r[DEADLINE] = '', now() + r[DELAY]
  if r[DUE] > r[DEADLINE] then
    r[DUE] = r[DEADLINE]
    remind(r[DUE], member)
  end
end

-- The newest of several ids, of 16 bytes each, before the others.
local function remember(id, others, most)
  return string.sub(id .. others, 1, 16 * most)
end

local function append(r, at)
  local from, weight, start = r[LAST], 0, r[KEPT] == 0
  for begin = at, #ARGV, 1000 do
    local frames = {}
    for i = begin, math.min(begin + 999, #ARGV) do
      frames[#frames + 1] = ARGV[i]
      weight = weight + #ARGV[i] + WEIGHT
    end
    redis.call('RPUSH', KEYS[1] .. ':own', unpack(frames))
  end
  if start then redis.call('PEXPIRE', KEYS[1] .. ':own', TTL + 2 * r[DELAY]) end
  r[LAST], r[UNREAD], r[KEPT] = from + #ARGV - at + 1, r[UNREAD] + weight, r[KEPT] + weight
  return from
end

-- Whether the session has as much for its client as it may. `waited`: something did before the last append.
local function is_too_much(r, waited, limit, most)
  return waited and r[UNREAD] > limit or r[KEPT] > most
end

-- Ends an open session; whether the caller runs its on_close.
local function close(r, code, text, node, token)
  r[PHASE], r[CODE], r[TEXT] = CLOSED, code, text
  if code == 4501 then
    local handed = math.max(r[HANDED], first(r)) - first(r)
    if handed == 0 then redis.call('UNLINK', KEYS[1] .. ':own') else redis.call('LTRIM', KEYS[1] .. ':own', 0, handed - 1) end
    r[LAST], r[KEPT], r[UNREAD] = first(r) + handed, r[KEPT] - r[UNREAD], 0
    redis.call('UNLINK', KEYS[1] .. ':subscriptions')
    r[SUBSCRIPTIONS] = 0
  end
  if r[RUNNER] ~= '' then
    r[ON_CLOSE] = RUNNING_CALL
    return false
  end
  if r[OPENING] == ANCHORED then
    -- It ends where it is, behind its handler's running call; should its node not be told, it is soon reminded.
    r[ON_CLOSE] = RUNNING_CALL
    remind(now() + CLOSING_CHECK, string.sub(KEYS[1], -32))
    return false
  end
  r[ON_CLOSE], r[CLOSER], r[END_TOKEN] = GIVEN, node, token
  return true
end

-- What whoever runs the on_close has to know.
local function ended(r)
  return { r[LIFE], r[CODE], r[TEXT], r[INFO] ~= '' and cmsgpack.unpack(r[INFO]) or redis.call('HGETALL', KEYS[1] .. ':origin') }
end

-- Has the end of a session, kept aside under a name of its own, found when the node dies that was given it.
local function note_given(r, name)
  redis.call('SADD', anchors(r[CLOSER]), name)
  redis.call('PEXPIRE', anchors(r[CLOSER]), 2 * TTL)
end

-- Frees the key of a session that is over. While somebody owes its on_close, that is kept aside.
local function remove(r, member)
  if r[ON_CLOSE] == RUNNING_CALL or r[ON_CLOSE] == GIVEN then
    r[INFO] = cmsgpack.pack(redis.call('HGETALL', KEYS[1] .. ':origin'))
    keep(r, KEYS[1] .. ':' .. r[LIFE])
    remind(now() + CHECK, member .. r[LIFE])
    if r[ON_CLOSE] == GIVEN then note_given(r, member .. r[LIFE]) end
  end
  redis.call('UNLINK', KEYS[1], KEYS[1] .. ':own', KEYS[1] .. ':subscriptions', KEYS[1] .. ':origin')
  redis.call('ZREM', deadlines(), member)
end

-- Ends an anchored session for its own node, or for another where that is dead: what whoever runs the on_close has to know.
local function end_anchored(r, member, code, text, node, token)
  redis.call('SREM', anchors(r[HOLDER]), member)
  if r[PHASE] == OPEN then r[PHASE], r[CODE], r[TEXT] = CLOSED, code, text end
  r[HOLDER], r[ON_CLOSE], r[CLOSER], r[END_TOKEN] = '', GIVEN, node, token
  local answer = ended(r)
  remove(r, member)
  return answer
end

local function is_held(r, attachment)
  return r[HOLDER] ~= '' and r[ATTACHMENT] == attachment
end

-- A subscription: generation, the cursor before the last commit, the cursor, the attachment that committed it. The commit
-- of an attachment counts once that is confirmed.
local SUBSCRIPTION = '>I4c8I6c8I6I4'

-- Notes how far the receiver came in channels: from ARGV[at] on, name, generation, epoch, seq.
local function note(r, at, attachment)
  local names = {}
  for i = at, #ARGV, 4 do names[#names + 1] = ARGV[i] end
  if #names == 0 or r[SUBSCRIPTIONS] == 0 then return end
  local known, changed = redis.call('HMGET', KEYS[1] .. ':subscriptions', unpack(names)), {}
  for i, packed in ipairs(known) do
    if packed then
      local generation, old_epoch, old_seq, epoch, seq, by = struct.unpack(SUBSCRIPTION, packed)
      local arg = at + 4 * (i - 1)
      local new_epoch, new_seq = ARGV[arg + 2], tonumber(ARGV[arg + 3])
      if generation == tonumber(ARGV[arg + 1]) and (new_epoch ~= epoch or new_seq ~= seq or by > r[CONFIRMED]) then
        if by <= r[CONFIRMED] then old_epoch, old_seq = epoch, seq end
        changed[#changed + 1] = names[i]
        changed[#changed + 1] = struct.pack(SUBSCRIPTION, generation, old_epoch, old_seq, new_epoch, new_seq, attachment)
      end
    end
  end
  if #changed > 0 then redis.call('HSET', KEYS[1] .. ':subscriptions', unpack(changed)) end
end

-- What waits for a receiver.
local function snapshot(r, from)
  return {
    r[ATTACHMENT], from, r[RECEIVED] == 0 and r[REPLAY] == REPLAY_OVER and REPLAY_NEW or r[REPLAY],
    r[PHASE] == CLOSED and r[CODE] or 0, r[TEXT], r[CONFIRMED], frames_from(r, from),
    r[SUBSCRIPTIONS] > 0 and redis.call('HGETALL', KEYS[1] .. ':subscriptions') or {}, r[TERMS],
    r[BATCHED], r[SENT], r[REPLAY_SENT],
  }
end
