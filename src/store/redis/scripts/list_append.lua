-- Appends an item for workers, unless one of its id was appended lately, or there are as many as there may be.
local id, item, most, remember, ids = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if redis.call('ZSCORE', KEYS[2], id) then return 1 end
if redis.call('LLEN', KEYS[1]) >= most then return 0 end
local time = redis.call('TIME')
local at = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('LPUSH', KEYS[1], item)
redis.call('ZADD', KEYS[2], at, id)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', at - remember)
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -ids - 1)
redis.call('PEXPIRE', KEYS[2], remember)
return 1
