-- The elements of the log that hold the entries next to a position: so many entries, or about so many bytes of them.
local side, epoch, seq, most, bytes = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

local function excerpt()
  local h = load()
  if not h then return { '', 'none' } end
  local length = redis.call('LLEN', KEYS[2])
  local oldest = h[SEQ] + 1
  if length > 0 then oldest = h[FIRST] end
  local function answer(status, elements) return { h[EPOCH], status, oldest, h[SEQ], elements } end

  local placed, back = side == 'before' or side == 'after', side == 'before' or side == 'newest'
  local known = not placed or epoch == h[EPOCH]
  for i = 1, #h[LINEAGE], 2 do
    known = known or h[LINEAGE][i] == epoch and seq <= h[LINEAGE][i + 1]
  end
  if not known then return answer('gap', {}) end
  if side == 'after' and (seq > h[SEQ] or seq + 1 < oldest) then return answer('gap', {}) end
  if side == 'before' and (seq > h[SEQ] + 1 or seq > 1 and seq <= oldest) then return answer('gap', {}) end
  local wanted = ({ before = seq - 1, after = seq + 1, newest = h[SEQ], oldest = oldest })[side]
  if wanted < oldest or wanted > h[SEQ] then return answer('read', {}) end

  -- The element that holds it: elements hold about as many entries each, so a guess in proportion is mostly right. Every
  -- other guess halves what is left, for logs in which it is not.
  local low, high, low_seq, high_seq, halve = 0, length - 1, oldest, h[SEQ], false
  local at
  while low <= high do
    local share = (wanted - low_seq) / (high_seq - low_seq + 1)
    if halve then share = 0.5 end
    local guess = math.min(high, low + math.floor(share * (high - low + 1)))
    local first, count = struct.unpack(ELEMENT, redis.call('LINDEX', KEYS[2], guess))
    if wanted < first then
      high, high_seq = guess - 1, first - 1
    elseif wanted >= first + count then
      low, low_seq = guess + 1, first + count
    else
      at = guess
      break
    end
    halve = not halve
  end
  if not at then return answer('gap', {}) end

  -- As many elements at once as will do if they are like the others.
  local elements, held, taken = {}, 0, 0
  local entries_each, bytes_each = (h[SEQ] - oldest + 1) / length, math.max(1, h[BYTES] / length)
  while at >= 0 and at < length and held < most and taken < bytes do
    local step = math.ceil(math.min((most - held) / entries_each, (bytes - taken) / bytes_each))
    local from, to = at, at + step
    if back then from, to = math.max(0, at - step), at end
    local some = redis.call('LRANGE', KEYS[2], from, to)
    if #some == 0 then break end
    for i = 1, #some do
      local element = some[back and #some + 1 - i or i]
      local first, count, _, weight = struct.unpack(ELEMENT, element)
      elements[#elements + 1] = element
      held, taken = held + count, taken + weight
      -- Of the first, only what is on the wanted side counts.
      if #elements == 1 and back then held = wanted - first + 1 end
      if #elements == 1 and not back then held = first + count - wanted end
      if held >= most or taken >= bytes then break end
    end
    at = back and from - 1 or to + 1
  end
  return answer('read', elements)
end

-- A value that is none of sockhop's: whatever was there is gone.
local fine, answer = pcall(excerpt)
if fine then return answer end
return { '', 'foreign' }
