-- Adds a subscription that an entry of another one has led to, as long as that one is there.
local life, attachment, stem, generation = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local channel, epoch, seq, most = ARGV[5], ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])
local r, key = find(life)
if not r or r[PHASE] == CLOSED then return 'over' end
if not is_held(r, attachment) then return 'fenced' end
local known = redis.call('HGET', KEYS[1] .. ':subscriptions', stem)
if not known or struct.unpack(SUBSCRIPTION, known) ~= generation then return 'done' end
if redis.call('HEXISTS', KEYS[1] .. ':subscriptions', channel) == 1 then return 'done' end
if r[SUBSCRIPTIONS] >= most then return 'many' end
r[GENERATION] = r[GENERATION] + 1
redis.call('HSET', KEYS[1] .. ':subscriptions', channel, struct.pack(SUBSCRIPTION, r[GENERATION], epoch, seq, epoch, seq, 0))
r[SUBSCRIPTIONS] = r[SUBSCRIPTIONS] + 1
save(r, key)
return 'done'
