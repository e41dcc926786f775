#!lua
-- The epoch of the log, which is made if there is none, and the last id of the feed.
-- KEYS: meta, feed. ARGV: a new epoch; an epoch that ends now, or nothing.
if redis.call('HSETNX', KEYS[1], 'epoch', ARGV[1]) == 0 and redis.call('HGET', KEYS[1], 'epoch') == ARGV[2] then
  redis.call('HSET', KEYS[1], 'epoch', ARGV[1])
end
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
return { redis.call('HGET', KEYS[1], 'epoch'), last[1] and last[1][1] or '0-0' }
