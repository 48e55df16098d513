-- Remember which index every query was marked to be mined from.
redis.call('HSET', state, 'against', batch.against)
return 'done'
