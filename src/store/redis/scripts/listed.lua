-- The names in a catalogue, whether they are all, and where its channel stands.
local epoch, writer, ttl = ARGV[1], ARGV[2], tonumber(ARGV[3])
local h, changed = begin(load(), epoch, writer)
local at = now()
if renew(h, at, ttl) or changed then save(h) end
local complete = 1 - redis.call('EXISTS', KEYS[4])
return { complete, h[EPOCH], h[SEQ], redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. at, '+inf') }
