-- Takes groups of messages, each whole or not at all, unless this batch was taken before.
local epoch, writer, node, number = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local most, most_bytes = tonumber(ARGV[5]), tonumber(ARGV[6])
local q = begin_queue(load_queue(), epoch, writer)
local at = now()
local batches = q[Q_BATCHES]
for i = 1, #batches, 5 do
  if batches[i] == node then
    if number <= batches[i + 1] then return { q[Q_EPOCH], batches[i + 2], batches[i + 3] } end
    for _ = 1, 5 do table.remove(batches, i) end
    break
  end
end
local held, accepted, from = redis.call('HLEN', key('messages')), 0, 7
while from <= #ARGV do
  local frames = {}
  for i = from + 1, from + tonumber(ARGV[from]) do frames[#frames + 1] = ARGV[i] end
  local holds = put(q, held, frames, most, most_bytes)
  -- Behind one that is refused none is taken: they would change places.
  if not holds then break end
  held, accepted, from = holds, accepted + 1, from + #frames + 1
end
local last = q[Q_LAST]
if #batches >= 5 * REMEMBERED and at - batches[#batches] > REMEMBER then
  for _ = 1, 5 do table.remove(batches) end
end
for i, field in ipairs({ node, number, last, accepted, at }) do table.insert(batches, i, field) end
if accepted > 0 then assign(q, at, epoch, writer) end
save_queue(q, at)
return { q[Q_EPOCH], last, accepted }
