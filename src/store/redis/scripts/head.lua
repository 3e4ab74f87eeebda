-- Where a channel stands. A channel that nobody knows begins: whoever asks will wait for what comes after.
local epoch, writer, ttl = ARGV[1], ARGV[2], tonumber(ARGV[3])
local h, changed = begin(load(), epoch, writer)
if renew(h, now(), ttl) or changed then save(h) end
return { h[EPOCH], h[SEQ] }
