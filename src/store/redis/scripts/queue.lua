-- What all scripts of queues share. KEYS: the queue's head, one packed array, which names all else of it; these are its
-- fields.
local Q_MAGIC, Q_EPOCH, Q_LAST, Q_BYTES, Q_TURN, Q_BATCHES, Q_WRITER = 1, 2, 3, 4, 5, 6, 7
-- A consumer: its credit, how many messages it has not settled, their bytes, the place of its newest, up to where it has
-- received.
local CONSUMER = '>I4I4I6I6I6'
-- What a consumer has not settled: who, the place in its log, the message's number.
local HELD = '>c32I6I6'
-- Of a message that came back: how often it was given out, who returned it.
local RETURNED = '>I4c32'
local NUMBER = '>I6'
-- Bytes that a consumer may hold unsettled before it is given another message, and that one element of its log takes; how
-- many times its credit its log may hold of what is settled and not received, or behind what is not settled.
local MOST_BYTES, ELEMENT_BYTES, SPAN = 524288, 65536, 10
-- Milliseconds that a queue is kept after it was last used, and that what ended is remembered; how many that are.
local KEPT, REMEMBER_ENDED, MOST_ENDED = 604800000, 600000, 10000

local function key(kind)
  return string.sub(KEYS[1], 1, -6) .. kind
end

local function load_queue()
  local packed = redis.call('GET', KEYS[1])
  if not packed then return nil end
  local fine, q = pcall(cmsgpack.unpack, packed)
  if not fine or type(q) ~= 'table' or q[Q_MAGIC] ~= 'Q1' then
    error({ err = 'FOREIGN the head of the queue is none of sockhop' })
  end
  return q
end

-- Begins the queue, or a new epoch of it where another server than this one wrote it last: what that one had acknowledged
-- may be missing here, and must not be numbered anew.
local function begin_queue(q, epoch, writer)
  if q and q[Q_WRITER] ~= writer then q[Q_EPOCH], q[Q_WRITER] = epoch, writer end
  if q then return q end
  redis.call('UNLINK', key('messages'), key('waiting'), key('held'), key('returned'), key('consumers'), key('free'))
  return { 'Q1', epoch, 0, 0, 0, {}, writer }
end

-- What nobody can miss goes soon, all else long after it was last used.
local function save_queue(q, at)
  local used = redis.call('EXISTS', key('messages'), key('consumers')) > 0
  redis.call('SET', KEYS[1], cmsgpack.pack(q), 'PXAT', at + (used and KEPT or REMEMBER_ENDED))
  if used then
    for _, kind in ipairs({ 'messages', 'waiting', 'held', 'returned', 'consumers', 'free' }) do
      redis.call('PEXPIREAT', key(kind), at + KEPT)
    end
  end
end

local function load_consumer(id)
  local packed = redis.call('HGET', key('consumers'), id)
  if not packed then return nil end
  local c = {}
  c.credit, c.count, c.bytes, c.last, c.received = struct.unpack(CONSUMER, packed)
  return c
end

-- Up to where a consumer's log is of no use any more.
local function needless(id, c)
  local first = redis.call('ZRANGEBYLEX', key('held'), '[' .. id, '(' .. id .. '\255', 'LIMIT', 0, 1)[1]
  if not first then return math.min(c.last, c.received) end
  local _, place = struct.unpack(HELD, first)
  return math.min(place - 1, c.received)
end

-- Writes a consumer, which is given something again behind the others if it may have more.
local function save_consumer(q, id, c, turn)
  redis.call('HSET', key('consumers'), id, struct.pack(CONSUMER, c.credit, c.count, c.bytes, c.last, c.received))
  if c.count < c.credit and c.bytes < MOST_BYTES and c.last - needless(id, c) < SPAN * c.credit then
    q[Q_TURN] = q[Q_TURN] + 1
    if turn then
      redis.call('ZADD', key('free'), q[Q_TURN], id)
    else
      redis.call('ZADD', key('free'), 'NX', q[Q_TURN], id)
    end
  else
    redis.call('ZREM', key('free'), id)
  end
end

-- Appends to a consumer's log, and tells those who follow it.
local function append_given(id, after, given, at, epoch, writer)
  local head, log = key(id .. ':head'), key(id .. ':log')
  local h = begin(load(head), epoch, writer, log)
  if h[SEQ] ~= after then
    -- The log was lost: what it held cannot be read any more.
    redis.call('UNLINK', log)
    h = { 'C1', epoch, after, after + 1, 0, 0, writer, {}, {}, 0 }
  end
  local from = 1
  while from <= #given do
    local some, bytes = {}, 0
    while from <= #given and (bytes == 0 or bytes + #given[from] <= ELEMENT_BYTES) do
      some[#some + 1], bytes, from = given[from], bytes + #given[from], from + 1
    end
    local entries, count, weight = joined(some)
    local element = struct.pack(ELEMENT, h[SEQ] + 1, count, at, weight) .. entries
    if redis.call('RPUSH', log, element) == 1 then h[FIRST], h[BYTES] = h[SEQ] + 1, 0 end
    h[SEQ], h[BYTES] = h[SEQ] + count, h[BYTES] + weight
    redis.pcall('SPUBLISH', key(id .. ':live'), h[EPOCH] .. element)
  end
  h[EXPIRES] = at + KEPT
  save(h, head)
  redis.call('PEXPIRE', log, KEPT)
end

-- Takes a group of messages into the queue, all or none. How many it then holds, of `held` before; nil where it has no
-- room. The first is taken whatever its size.
local function put(q, held, frames, most, most_bytes)
  local weight = 0
  for _, frame in ipairs(frames) do weight = weight + #frame + WEIGHT end
  if held > 0 and (held + #frames > most or q[Q_BYTES] + weight > most_bytes) then return nil end
  for _, frame in ipairs(frames) do
    q[Q_LAST] = q[Q_LAST] + 1
    local field = struct.pack(NUMBER, q[Q_LAST])
    redis.call('HSET', key('messages'), field, frame)
    redis.call('ZADD', key('waiting'), q[Q_LAST], field)
  end
  q[Q_BYTES] = q[Q_BYTES] + weight
  return held + #frames
end

-- Gives what waits to consumers that may have more.
local function assign(q, at, epoch, writer)
  local order, all = {}, {}
  while true do
    local number = redis.call('ZRANGE', key('waiting'), 0, 0)[1]
    if not number then break end
    local free = redis.call('ZRANGE', key('free'), 0, 1)
    if #free == 0 then break end
    local frame, times, by = redis.call('HGET', key('messages'), number), 0, ''
    local returned = redis.call('HGET', key('returned'), number)
    if returned then times, by = struct.unpack(RETURNED, returned) end
    -- Not to whoever has returned it, where there is somebody else.
    local id = free[1] == by and free[2] or free[1]
    local c = load_consumer(id)
    redis.call('ZREM', key('waiting'), number)
    if not all[id] then
      all[id] = { after = c.last, given = {} }
      order[#order + 1] = id
    end
    c.count, c.bytes, c.last = c.count + 1, c.bytes + #frame + WEIGHT, c.last + 1
    redis.call('ZADD', key('held'), 0, struct.pack(HELD, id, c.last, (struct.unpack(NUMBER, number))))
    save_consumer(q, id, c, true)
    if times > 0 then frame = 'a["\\\\!' .. times + 1 .. '\\n' .. string.sub(frame, 4) end
    table.insert(all[id].given, frame)
  end
  for _, id in ipairs(order) do append_given(id, all[id].after, all[id].given, at, epoch, writer) end
end

-- Takes from a consumer what it holds between two places: it is handled, or goes back.
local function take(q, id, c, from, to, handled)
  local held = redis.call(
    'ZRANGEBYLEX', key('held'), '[' .. id .. struct.pack(NUMBER, from), '[' .. id .. struct.pack(NUMBER, to) .. '\255\255\255\255\255\255\255'
  )
  for _, member in ipairs(held) do
    local _, _, number = struct.unpack(HELD, member)
    local field = struct.pack(NUMBER, number)
    local weight = redis.call('HSTRLEN', key('messages'), field) + WEIGHT
    c.count, c.bytes = c.count - 1, c.bytes - weight
    redis.call('ZREM', key('held'), member)
    if handled then
      q[Q_BYTES] = q[Q_BYTES] - weight
      redis.call('HDEL', key('messages'), field)
      redis.call('HDEL', key('returned'), field)
    else
      local returned, times = redis.call('HGET', key('returned'), field), 0
      if returned then times = struct.unpack(RETURNED, returned) end
      redis.call('HSET', key('returned'), field, struct.pack(RETURNED, times + 1, id))
      redis.call('ZADD', key('waiting'), number, field)
    end
  end
end

-- Whether a consumer's log has, or had, an entry of this position.
local function was_given(h, epoch, seq)
  if not h then return false end
  if h[EPOCH] == epoch then return seq <= h[SEQ] end
  for i = 1, #h[LINEAGE], 2 do
    if h[LINEAGE][i] == epoch and seq <= h[LINEAGE][i + 1] then return true end
  end
  return false
end
