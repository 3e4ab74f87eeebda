-- The node goes on draining the list, if it does.
if redis.call('HGET', KEYS[1], 'node') == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
