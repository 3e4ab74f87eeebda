-- What is known of a session that is open, and those of its attributes that ARGV names.
local r = load(KEYS[1])
if not r or r[PHASE] == CLOSED then return { 'none' } end
local fields, info = { '' }, {}
for i, name in ipairs(ARGV) do fields[i + 1] = 'a' .. name end
for i, value in ipairs(redis.call('HMGET', KEYS[1] .. ':origin', unpack(fields))) do
  if value then
    info[#info + 1] = fields[i]
    info[#info + 1] = value
  end
end
return { 'known', r[LIFE], r[HOLDER], r[SUBSCRIPTIONS], info }
