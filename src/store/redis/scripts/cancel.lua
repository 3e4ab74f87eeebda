-- Ends a consumer: what it has not settled goes back, but for what it was given up to a place, if that is named.
local id, at_epoch, handled, epoch, writer = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local at = now()
redis.call('ZADD', key('ended'), at, id)
redis.call('ZREMRANGEBYRANK', key('ended'), 0, -1 - MOST_ENDED)
redis.call('PEXPIRE', key('ended'), REMEMBER_ENDED)
local q = load_queue()
local c = q and load_consumer(id)
if not c then return { 'done' } end
local head = key(id .. ':head')
if handled > 0 and was_given(load(head), at_epoch, handled) then take(q, id, c, 0, handled, true) end
take(q, id, c, 0, c.last, false)
redis.call('HDEL', key('consumers'), id)
redis.call('ZREM', key('free'), id)
redis.call('PEXPIRE', head, REMEMBER_ENDED)
redis.call('PEXPIRE', key(id .. ':log'), REMEMBER_ENDED)
assign(q, at, epoch, writer)
save_queue(q, at)
return { 'done' }
