-- Enters a name into a catalogue, and appends the news of it, or that there was no room.
local inbox, epoch, writer, ttl, name, room = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local life, incomplete = tonumber(ARGV[7]), tonumber(ARGV[8])
local news, news_weight, full, full_weight = ARGV[9], tonumber(ARGV[10]), ARGV[11], tonumber(ARGV[12])
local most, most_bytes, age = tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[15])
local h = begin(load(), epoch, writer)
local at = now()
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', at)
local known = redis.call('ZSCORE', KEYS[3], name)
local entered = known or redis.call('ZCARD', KEYS[3]) < room
local element
if not known and entered then
  element = append(h, at, news, 1, news_weight, most, most_bytes, age)
elseif not entered and redis.call('EXISTS', KEYS[4]) == 0 then
  element = append(h, at, full, 1, full_weight, most, most_bytes, age)
end
if entered then
  redis.call('ZADD', KEYS[3], 'GT', at + life, name)
  redis.call('PEXPIRE', KEYS[3], math.max(redis.call('PTTL', KEYS[3]), life))
else
  redis.call('SET', KEYS[4], '', 'PX', incomplete)
end
if element then redis.call('PEXPIRE', KEYS[2], age) end
renew(h, at, ttl)
save(h)
if element then redis.pcall('SPUBLISH', inbox, h[EPOCH] .. element) end
return { entered and 1 or 0, h[EPOCH], h[SEQ] }
