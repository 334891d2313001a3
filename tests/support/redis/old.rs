//! What Redis could do when Harbor's guide for high availability was written.

use std::net::SocketAddr;

use super::wire::{Reply, ask};

/// The commands of Redis 3.0, aliases and internal ones included.
const OF_3: &str = "
append asking auth bgrewriteaof bgsave bitcount bitop bitpos blpop brpop brpoplpush client cluster command config
dbsize debug decr decrby del discard dump echo eval evalsha exec exists expire expireat flushall flushdb get getbit
getrange getset hdel hexists hget hgetall hincrby hincrbyfloat hkeys hlen hmget hmset hscan hset hsetnx hvals incr
incrby incrbyfloat info keys lastsave latency lindex linsert llen lpop lpush lpushx lrange lrem lset ltrim mget
migrate monitor move mset msetnx multi object persist pexpire pexpireat pfadd pfcount pfdebug pfmerge pfselftest ping
psetex psubscribe psync pttl publish pubsub punsubscribe randomkey readonly readwrite rename renamenx replconf
restore restore-asking role rpop rpoplpush rpush rpushx sadd save scan scard script sdiff sdiffstore select set
setbit setex setnx setrange shutdown sinter sinterstore sismember slaveof slowlog smembers smove sort spop
srandmember srem sscan strlen subscribe substr sunion sunionstore sync time ttl type unsubscribe unwatch wait watch
zadd zcard zcount zincrby zinterstore zlexcount zrange zrangebylex zrangebyscore zrank zrem zremrangebylex
zremrangebyrank zremrangebyscore zrevrange zrevrangebylex zrevrangebyscore zrevrank zscan zscore zunionstore
";

/// The commands of a server that Redis 3.0 had not.
pub fn newer_than_3(address: SocketAddr) -> Vec<String> {
    let Reply::Many(all) = ask(address, 0, &["COMMAND"]) else {
        panic!("{address} lists no commands");
    };
    let names = all.iter().map(|about| match about {
        Reply::Many(parts) => parts.first().map_or_else(String::new, ToString::to_string),
        odd => panic!("no command: {odd}"),
    });
    let known = |name: &String| OF_3.split_whitespace().any(|old| old == name);
    names.filter(|name| !known(name)).collect()
}
