-- What all scripts of channels share. A channel's head is one packed array; these are its fields.
local MAGIC, EPOCH, SEQ, FIRST, BYTES, EXPIRES, WRITER, LINEAGE, BATCHES, TRIMMED = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
-- Epochs before the current one that cursors may still be of; nodes whose last batch is remembered at least so long.
local ANCESTORS, REMEMBERED, REMEMBER = 8, 16, 120000
-- An element of the log holds the entries of one batch: the seq of the first, how many, when, and what they weigh.
local ELEMENT = '>I6I4I6I4'
-- What a message costs beside its bytes, as limits count it.
local WEIGHT = 94

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function load(head)
  local packed = redis.call('GET', head or KEYS[1])
  if not packed then return nil end
  local fine, h = pcall(cmsgpack.unpack, packed)
  if not fine or type(h) ~= 'table' or h[MAGIC] ~= 'C1' then
    error({ err = 'FOREIGN the head of the channel is none of sockhop' })
  end
  return h
end

-- Begins the channel's life, or a new epoch of it where another server than this one wrote it last: what that one had
-- acknowledged may be missing here, and must not be numbered anew. Whether anything changed.
local function begin(h, epoch, writer, log)
  if not h then
    redis.call('UNLINK', log or KEYS[2])
    return { 'C1', epoch, 0, 1, 0, 0, writer, {}, {}, 0 }, true
  end
  if h[WRITER] == writer then return h, false end
  table.insert(h[LINEAGE], 1, h[SEQ])
  table.insert(h[LINEAGE], 1, h[EPOCH])
  while #h[LINEAGE] > 2 * ANCESTORS do table.remove(h[LINEAGE]) end
  h[EPOCH], h[WRITER] = epoch, writer
  return h, true
end

-- Keeps the head as long as somebody may come back to it; whether it has to be written.
local function renew(h, at, ttl)
  if h[EXPIRES] - at > ttl * 2 / 3 then return false end
  h[EXPIRES] = at + ttl
  return true
end

local function save(h, head)
  redis.call('SET', head or KEYS[1], cmsgpack.pack(h), 'PXAT', h[EXPIRES])
end

-- Frames as an element of a log holds them, how many they are, and what they weigh.
local function joined(frames)
  local parts, weight = {}, 0
  for i, frame in ipairs(frames) do
    parts[i], weight = struct.pack('>I4', #frame) .. frame, weight + #frame + WEIGHT
  end
  return table.concat(parts), #frames, weight
end

-- Appends a batch to the log, and trims it. The head is changed, and not yet saved.
local function append(h, at, entries, count, weight, most, most_bytes, age)
  local element = struct.pack(ELEMENT, h[SEQ] + 1, count, at, weight) .. entries
  if redis.call('RPUSH', KEYS[2], element) == 1 then h[FIRST], h[BYTES] = h[SEQ] + 1, 0 end
  h[SEQ], h[BYTES] = h[SEQ] + count, h[BYTES] + weight
  -- Ages are looked at from time to time: they need the oldest element.
  local by_age = at - h[TRIMMED] > age / 16
  if by_age then h[TRIMMED] = at end
  while h[SEQ] - h[FIRST] >= most or h[BYTES] > most_bytes or by_age do
    local oldest = redis.call('LINDEX', KEYS[2], 0)
    local fine, first, held, written, weighed = pcall(struct.unpack, ELEMENT, oldest)
    -- Something foreign is not kept: readers find it missing.
    if not fine then first, held, written, weighed = h[FIRST], 0, 0, 0 end
    if first + held - 1 == h[SEQ] then break end
    -- A batch goes as a whole, once all its entries are beyond the limit of count.
    if h[SEQ] - first - held + 1 < most and h[BYTES] <= most_bytes and at - written <= age then break end
    redis.call('LPOP', KEYS[2])
    h[FIRST], h[BYTES] = first + held, h[BYTES] - weighed
  end
  return element
end

-- Takes a batch into the channel, and tells those who follow.
local function accept(h, at, inbox, ttl, entries, count, weight, most, most_bytes, age)
  local element = append(h, at, entries, count, weight, most, most_bytes, age)
  renew(h, at, ttl)
  redis.call('PEXPIRE', KEYS[2], age)
  save(h)
  -- Only a hint: what is appended is accepted, heard of or not.
  redis.pcall('SPUBLISH', inbox, h[EPOCH] .. element)
end
