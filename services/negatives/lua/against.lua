-- Remember which index every query was marked to be mined from, how much of it was written, and when.
redis.call('HSET', state, 'against', batch.against, 'written', batch.written, 'marked', batch.now)
return 'done'
