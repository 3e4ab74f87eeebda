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
local told, weight
if not known and entered then
  told, weight = news, news_weight
elseif not entered and redis.call('EXISTS', KEYS[4]) == 0 then
  told, weight = full, full_weight
end
if told then
  accept(h, at, inbox, ttl, told, 1, weight, most, most_bytes, age)
else
  renew(h, at, ttl)
  save(h)
end
if entered then
  redis.call('ZADD', KEYS[3], 'GT', at + life, name)
  redis.call('PEXPIRE', KEYS[3], math.max(redis.call('PTTL', KEYS[3]), life))
else
  redis.call('SET', KEYS[4], '', 'PX', incomplete)
end
return { entered and 1 or 0, h[EPOCH], h[SEQ] }
