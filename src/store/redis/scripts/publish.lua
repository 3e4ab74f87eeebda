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
if node ~= '' then
  local forget = #batches >= 4 * REMEMBERED and at - batches[#batches] > REMEMBER
  if forget then
    for _ = 1, 4 do table.remove(batches) end
  end
  for i, field in ipairs({ node, number, h[SEQ] + count, at }) do table.insert(batches, i, field) end
end
accept(h, at, inbox, ttl, entries, count, weight, most, most_bytes, age)
return { h[EPOCH], h[SEQ] }
