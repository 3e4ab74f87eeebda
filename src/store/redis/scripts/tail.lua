-- The place behind which the channel keeps its newest entries, at most so many.
local epoch, writer, ttl, most = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local h, changed = begin(load(), epoch, writer)
if renew(h, now(), ttl) or changed then save(h) end
if redis.call('EXISTS', KEYS[2]) == 0 then return { h[EPOCH], h[SEQ] } end
return { h[EPOCH], math.max(h[FIRST] - 1, h[SEQ] - most) }
