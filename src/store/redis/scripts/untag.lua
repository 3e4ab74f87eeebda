-- Ends all subscriptions with a tag.
local tag = ARGV[2]
local r, key = find(ARGV[1])
if not r or r[PHASE] == CLOSED then return { 'over' } end
local ended = 0
for _, name in ipairs(redis.call('HKEYS', KEYS[1] .. ':subscriptions')) do
  local at = string.find(name, '\n', 1, true)
  if at and string.sub(name, at + 1) == tag then ended = ended + redis.call('HDEL', KEYS[1] .. ':subscriptions', name) end
end
if ended > 0 then
  r[SUBSCRIPTIONS] = r[SUBSCRIPTIONS] - ended
  save(r, key)
end
return { 'done', r[HOLDER], r[ATTACHMENT] }
