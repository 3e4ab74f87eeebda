-- Makes a consumer known, unless it is, or was.
local id, credit, most, epoch, writer = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5]
local at = now()
redis.call('ZREMRANGEBYSCORE', key('ended'), '-inf', at - REMEMBER_ENDED)
if redis.call('ZSCORE', key('ended'), id) then return { 'cancelled' } end
local q = begin_queue(load_queue(), epoch, writer)
local c = load_consumer(id)
local head, log = key(id .. ':head'), key(id .. ':log')
if not c and redis.call('HLEN', key('consumers')) >= most then return { 'full' } end
local h = begin(load(head), epoch, writer, log)
h[EXPIRES] = at + KEPT
save(h, head)
if not c then
  save_consumer(q, id, { credit = credit, count = 0, bytes = 0, last = 0, received = 0 }, true)
  assign(q, at, epoch, writer)
end
save_queue(q, at)
return { 'consumes', h[EPOCH] }
