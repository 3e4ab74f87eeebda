-- Appends a batch, unless it was appended before.
local inbox, entries, count, epoch, writer, ttl = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5], tonumber(ARGV[6])
local node, number = ARGV[7], tonumber(ARGV[8])
local most, most_bytes, age, weight = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local h = begin(load(), epoch, writer)
local at = now()
local batches = h[BATCHES]
for i = 1, #batches, 4 do
  if batches[i] == node then
    if number <= batches[i + 1] then return { h[EPOCH], batches[i + 2] } end
    for _ = 1, 4 do table.remove(batches, i) end
    break
  end
end
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
if node ~= '' then
  local forget = #batches >= 4 * REMEMBERED and at - batches[#batches] > REMEMBER
  if forget then
    for _ = 1, 4 do table.remove(batches) end
  end
  for i, field in ipairs({ node, number, h[SEQ], at }) do table.insert(batches, i, field) end
end
renew(h, at, ttl)
redis.call('PEXPIRE', KEYS[2], age)
save(h)
-- Only a hint: what is appended is accepted, heard of or not.
redis.pcall('SPUBLISH', inbox, h[EPOCH] .. element)
return { h[EPOCH], h[SEQ] }
