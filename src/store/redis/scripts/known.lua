-- What is known of a session that is open.
local r = load(KEYS[1])
if not r or r[PHASE] == CLOSED then return { 'none' } end
return { 'known', r[LIFE], r[HOLDER], r[SUBSCRIPTIONS], redis.call('HGETALL', KEYS[1] .. ':origin') }
