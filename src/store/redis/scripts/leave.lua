-- A node ends: what it still holds is anybody's at once.
redis.call('ZREM', KEYS[1], ARGV[1])
return 'done'
