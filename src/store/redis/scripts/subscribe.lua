-- Adds a subscription; one that is there stays as it is, so that a call which is made again loses no place.
local life, channel, epoch, seq, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local r, key = find(life)
if not r or r[PHASE] == CLOSED then return { 'over' } end
local known = redis.call('HGET', KEYS[1] .. ':subscriptions', channel)
if not known and r[SUBSCRIPTIONS] >= most then return { 'many' } end
if known then return { 'done', r[HOLDER], r[ATTACHMENT] } end
r[GENERATION] = r[GENERATION] + 1
redis.call('HSET', KEYS[1] .. ':subscriptions', channel, struct.pack(SUBSCRIPTION, r[GENERATION], epoch, seq, epoch, seq, 0))
if r[SUBSCRIPTIONS] == 0 then redis.call('PEXPIRE', KEYS[1] .. ':subscriptions', TTL + 2 * r[DELAY]) end
r[SUBSCRIPTIONS] = r[SUBSCRIPTIONS] + 1
save(r, key)
return { 'done', r[HOLDER], r[ATTACHMENT] }
