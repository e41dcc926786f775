#!lua
-- Appends a batch of posts once, whatever the number of times it is sent.
-- KEYS: meta, feed, last batch of this server, and the log of the room of each post.
-- ARGV: epoch, batch number, length of a log, length of the feed; author, ordinal, text of each post.
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then
  return redis.error_reply('EPOCH the log has begun again')
end
local begins = ARGV[2] .. ':'
local known = redis.call('GET', KEYS[3])
if known and string.sub(known, 1, #begins) == begins then
  return string.sub(known, #begins + 1)
end
local seqs = {}
for post = 1, #KEYS - 3 do
  local log, at = KEYS[post + 3], 2 + 3 * post
  local author, ordinal, text = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local id = redis.call('XADD', log, 'MAXLEN', '~', ARGV[3], '0-*', 'a', author, 'o', ordinal, 't', text)
  local seq = string.sub(id, 3)
  redis.call('EXPIRE', log, 86400)
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '0-*',
    'r', log, 'q', seq, 'a', author, 'o', ordinal, 't', text)
  seqs[post] = seq
end
local answer = table.concat(seqs, ',')
redis.call('SET', KEYS[3], begins .. answer, 'EX', 86400)
return answer
