-- What became of messages that a consumer was given: those between two places, up to where it has received, whether they
-- are handled, come back, or neither.
local id, at_epoch, from, to = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local received, fate, epoch, writer = tonumber(ARGV[5]), ARGV[6], ARGV[7], ARGV[8]
local q = load_queue()
local c = q and load_consumer(id)
if not c then return { 'unknown' } end
local head, log = key(id .. ':head'), key(id .. ':log')
local h = load(head)
if not was_given(h, at_epoch, to) then return { 'unknown' } end
local at = now()
if fate ~= '' then take(q, id, c, from, to, fate == 'handled') end
c.received = math.max(c.received, received)
save_consumer(q, id, c, false)
local drop = needless(id, c)
while h[FIRST] <= drop do
  local oldest = redis.call('LINDEX', log, 0)
  if not oldest then break end
  local first, count, _, weight = struct.unpack(ELEMENT, oldest)
  if first + count - 1 > drop then break end
  redis.call('LPOP', log)
  h[FIRST], h[BYTES] = first + count, h[BYTES] - weight
end
h[EXPIRES] = at + KEPT
save(h, head)
assign(q, at, epoch, writer)
save_queue(q, at)
return { 'done' }
