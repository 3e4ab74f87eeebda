-- The elements of the log that hold the entries after a position, as far as about `bytes` reach.
local epoch, seq, bytes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local function read()
  local h = load()
  if not h then return { '', 'gap' } end
  if epoch ~= h[EPOCH] then
    local known = false
    for i = 1, #h[LINEAGE], 2 do
      if h[LINEAGE][i] == epoch and seq <= h[LINEAGE][i + 1] then known = true end
    end
    if not known then return { h[EPOCH], 'gap' } end
  end
  if seq > h[SEQ] then return { h[EPOCH], 'gap' } end
  if seq == h[SEQ] then return { h[EPOCH], 'read', {} } end
  local length = redis.call('LLEN', KEYS[2])
  if length == 0 then return { h[EPOCH], 'gap' } end

  local function span(index)
    return struct.unpack(ELEMENT, redis.call('LINDEX', KEYS[2], index))
  end

  -- The last element that begins at the wanted seq or before: from the end in growing steps, then by halves.
  local wanted, low, high, step = seq + 1, 0, length - 1, 1
  while high > 0 and span(math.max(high, 0)) > wanted do
    if high - step <= 0 then high = high - 1 low = 0 break end
    local probe = high - step
    if span(probe) <= wanted then low = probe high = high - 1 break end
    high, step = probe, step * 2
  end
  if span(high) <= wanted then low = high end
  while low < high do
    local middle = math.ceil((low + high) / 2)
    if span(middle) <= wanted then low = middle else high = middle - 1 end
  end
  if span(low) > wanted then return { h[EPOCH], 'gap' } end
  local elements, taken = {}, 0
  while low < length and taken < bytes do
    local some = redis.call('LRANGE', KEYS[2], low, low + 15)
    for _, element in ipairs(some) do
      elements[#elements + 1] = element
      local _, _, _, weight = struct.unpack(ELEMENT, element)
      taken = taken + weight
      if taken >= bytes then break end
    end
    low = low + 16
  end
  return { h[EPOCH], 'read', elements }
end

-- A value that is none of sockhop's: whatever was there is gone.
local fine, answer = pcall(read)
if fine then return answer end
return { '', 'foreign' }
