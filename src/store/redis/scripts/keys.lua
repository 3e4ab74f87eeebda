-- All sessions of a bucket, and ends of sessions.
return redis.call('ZRANGE', KEYS[1], 0, -1)
