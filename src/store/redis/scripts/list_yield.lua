-- The node drains the list no more.
if redis.call('HGET', KEYS[1], 'node') == ARGV[1] then redis.call('UNLINK', KEYS[1]) end
return 1
