-- Ends a subscription.
local r, key = find(ARGV[1])
if not r or r[PHASE] == CLOSED then return { 'over' } end
if redis.call('HDEL', KEYS[1] .. ':subscriptions', ARGV[2]) == 1 then
  r[SUBSCRIPTIONS] = r[SUBSCRIPTIONS] - 1
  save(r, key)
end
return { 'done', r[HOLDER], r[ATTACHMENT] }
