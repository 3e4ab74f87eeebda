//! The servers of the tests themselves.

use crate::server::{Cluster, Redis, Sentinels, until};

#[test]
fn a_server_keeps_its_port_and_its_data_over_a_restart() {
    let redis = Redis::with(&["appendonly yes", "appendfsync always"]);
    redis.command(&["SET", "x", "1"]);
    redis.kill();
    assert!(redis.try_command(&["PING"]).is_err());
    redis.restart();
    assert_eq!(redis.text(&["GET", "x"]), "1");
}

#[test]
fn a_replica_takes_over_by_its_sentinels() {
    let primary = Redis::start();
    let replica = primary.replica(&[]);
    let sentinels = Sentinels::start(&primary, 1, 3);
    assert_eq!(sentinels.primary(), primary.port());
    primary.kill();
    until("the replica is the primary", || sentinels.primary() == replica.port());
}

#[test]
fn a_cluster_goes_on_with_the_replica_of_a_primary_that_is_gone() {
    let cluster = Cluster::start(3, 1);
    let (slot, port) = (cluster.slot("x"), cluster.owner(cluster.slot("x")).port());
    cluster.owner(slot).kill();
    until("its replica has the slot", || cluster.owner(slot).port() != port);
    cluster.wait_whole();
    assert_eq!(cluster.primaries().len(), 3);
}
