-- Remember which index every query was marked to be mined from, how much of it was written, when, and by which
-- judge of relevance.
redis.call('HSET', state, 'against', batch.against, 'written', batch.written, 'marked', batch.now, 'judge', batch.judge)
return 'done'
