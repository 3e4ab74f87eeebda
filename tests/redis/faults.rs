//! What clients, publishers and readiness see while Redis is hurt.

use std::time::{Duration, Instant};

use rand::Rng;

use sockhop::store::{Batch, Position, Publish, PublishError, Retention, Store};
use sockhop::{Message, NodeId};

use crate::proxy::Proxy;
use crate::server::{Cluster, Redis, Sentinels, until};
use crate::trial::{Account, Member, Trial, channel};

/// Runs a fault that blocks, while everything else goes on.
async fn blocking<T: Send>(fault: impl FnOnce() -> T + Send) -> T {
    tokio::task::block_in_place(fault)
}

/// A trial over one server, hurt once.
async fn hurt(redis: &Redis, name: &str, fault: impl FnOnce(&Redis) + Send) -> Account {
    let trial = Trial::start([&redis.url(), &redis.url()]).await;
    blocking(|| fault(redis)).await;
    let account = trial.end().await;
    account.tell(name);
    account
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_everything_on_disk_is_only_late() {
    let redis = Redis::with(&["appendonly yes", "appendfsync always"]);
    let account = hurt(&redis, "restart, appendfsync always", |redis| {
        redis.kill();
        std::thread::sleep(Duration::from_millis(500));
        redis.restart();
    })
    .await;
    account.check_only_late();
    assert!(account.unready.contains_key("the store cannot be reached"), "{:?}", account.unready);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_subscriptions_are_only_late() {
    let redis = Redis::start();
    let account = hurt(&redis, "CLIENT KILL TYPE pubsub", |redis| {
        for _ in 0..5 {
            let killed = redis.number(&["CLIENT", "KILL", "TYPE", "pubsub"]);
            assert!(killed >= 1, "there were subscriptions");
            std::thread::sleep(Duration::from_millis(200));
        }
    })
    .await;
    account.check_only_late();
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_connections_are_only_late() {
    let redis = Redis::start();
    let account = hurt(&redis, "CLIENT KILL TYPE normal", |redis| {
        for _ in 0..5 {
            redis.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
            std::thread::sleep(Duration::from_millis(200));
        }
    })
    .await;
    account.check_only_late();
}

#[tokio::test(flavor = "multi_thread")]
async fn forgotten_scripts_are_loaded_again() {
    let redis = Redis::start();
    let account = hurt(&redis, "SCRIPT FLUSH", |redis| {
        for _ in 0..3 {
            redis.command(&["SCRIPT", "FLUSH"]);
            std::thread::sleep(Duration::from_millis(300));
        }
    })
    .await;
    account.check_only_late();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_hangs_for_seconds_is_only_late() {
    let redis = Redis::start();
    let account = hurt(&redis, "SIGSTOP 5 s", |redis| {
        redis.stop();
        std::thread::sleep(Duration::from_secs(5));
        redis.cont();
    })
    .await;
    account.check_only_late();
    assert!(!account.unready.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_without_its_data_is_told() {
    let redis = Redis::start();
    let account = hurt(&redis, "restart, nothing on disk", |redis| {
        redis.kill();
        redis.restart();
    })
    .await;
    account.check();
    assert_eq!(account.clients.len(), account.ends().values().sum::<usize>(), "{:?}", account.ends());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_another_server_goes_on_with_is_numbered_in_another_epoch() {
    let redis = Redis::with(&["appendonly yes", "appendfsync always"]);
    let member = Member::with(&redis.url(), |store| store);
    member.ready().await;
    let queue = "/queue/a".parse().unwrap();
    let enqueue = async |text: &str| {
        let (messages, retention) = (&[Message::new(text)], Retention::default());
        member.store.enqueue(Publish { channel: &queue, messages, retention, batch: None }).await.unwrap().last
    };
    let (first, second) = (enqueue("1").await, enqueue("2").await);
    assert_eq!((first.epoch, first.seq, second.seq), (second.epoch, 1, 2));
    blocking(|| redis.restart()).await;
    let third = enqueue("3").await;
    assert_eq!(third.seq, 3, "it has all that the one before had");
    assert_ne!(third.epoch, second.epoch, "it might have had less");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_is_told() {
    let redis = Redis::start();
    let account = hurt(&redis, "FLUSHALL", |redis| drop(redis.command(&["FLUSHALL"]))).await;
    account.check();
    assert_eq!(
        account.clients.len(),
        account.ends().values().sum::<usize>(),
        "each session was told: {:?}",
        account.ends()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_of_unknown_outcome_is_repeated_safely() {
    let redis = Redis::start();
    let hasty = Member::with(&redis.url(), |store| {
        store.timeout(Duration::from_millis(100)).patience(Duration::from_millis(300))
    });
    hasty.ready().await;
    let (channel, node) = (channel(), NodeId::random());
    let (mut accepted, mut unknown) = (Vec::new(), 0);
    for number in 1..=60u64 {
        if number % 20 == 10 {
            redis.stop();
        }
        let messages = [Message::new(&number.to_string())];
        loop {
            let batch = Some(Batch { node, number });
            let publish =
                Publish { channel: &channel, messages: &messages, retention: Retention::default(), batch };
            match hasty.store.publish(publish).await {
                Ok(published) => break accepted.push((number, published.last.seq)),
                Err(PublishError::Refused(_)) => {}
                Err(_) => unknown += 1,
            }
            redis.cont();
        }
    }
    assert!(unknown >= 3, "{unknown} were unknown at first");
    let expected: Vec<_> = (1..=60).map(|number| (number, number)).collect();
    assert_eq!(accepted, expected, "each stands where it would have stood");
    let start =
        Position { epoch: hasty.store.heads(std::slice::from_ref(&channel)).await.unwrap()[0].epoch, seq: 0 };
    let log = hasty.store.read(&channel, start, 1 << 20).await.unwrap().entries;
    assert_eq!(log.len(), 60, "none stands there twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_with_an_id_of_unknown_outcome_is_sent_again_safely() {
    let redis = Redis::start();
    let hasty = Member::with(&redis.url(), |store| {
        store.timeout(Duration::from_millis(100)).patience(Duration::from_millis(300))
    });
    hasty.ready().await;
    let (node, channel) = (&hasty.node, channel());
    let (mut places, mut unknown) = (Vec::new(), 0);
    for number in 1..=60u64 {
        if number % 20 == 10 {
            redis.stop();
        }
        loop {
            // Beside others of its batch, with and without an id.
            let (first, second) = (format!("{number} a"), format!("{number} b"));
            let both = futures_util::future::join(
                node.publish_once(&channel, first.as_str(), first.as_str()),
                node.publish_once(&channel, second.as_str(), second.as_str()),
            );
            let (first, second) = both.await;
            unknown += usize::from(matches!(first, Err(PublishError::Unknown(_))));
            if let (Ok(first), Ok(second)) = (first, second) {
                break places.push((first.position().seq, second.position().seq));
            }
            redis.cont();
        }
    }
    assert!(unknown >= 3, "{unknown} were unknown at first");
    let expected: Vec<_> = (1..=60).map(|number| (2 * number - 1, 2 * number)).collect();
    assert_eq!(places, expected, "each stands where it would have stood, and none twice");
    assert_eq!(hasty.store.heads(std::slice::from_ref(&channel)).await.unwrap()[0].seq, 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_that_a_replica_never_had_is_told_and_its_numbers_are_not_used_again() {
    let primary = Redis::start();
    let replica = primary.replica(&[]);
    let proxy = Proxy::to(primary.port());
    let trial = Trial::start([&proxy.url(), &proxy.url()]).await;
    trial.pause().await;
    blocking(|| {
        replica.wait_caught_up(&primary);
        replica.stop();
        primary.command(&["CLIENT", "KILL", "TYPE", "replica"]);
    })
    .await;
    let before = trial.account().accepted.last().copied().expect("some were accepted").1;
    trial.go_on();
    trial.some_are_published().await;
    trial.everybody_gets_something_new().await;
    trial.pause().await;
    let tail = trial.account().accepted.last().copied().expect("some were accepted").1;
    assert_eq!((tail.epoch, tail.seq >= before.seq + 25), (before.epoch, true));
    blocking(|| {
        primary.kill();
        replica.cont();
        replica.command(&["REPLICAOF", "NO", "ONE"]);
    })
    .await;
    proxy.switch(replica.port());
    trial.go_on();
    let mut account = trial.end().await;
    account.tell("promotion of a replica that lags");
    account.forgive_repeats();
    account.check();
    assert!(account.lost().len() >= 25, "the tail was lost");
    for (number, position) in &account.accepted {
        assert!(account.lost().contains(number) || position.epoch != before.epoch || position.seq <= before.seq);
    }
    let ends = account.ends();
    let told = ends.get("c[4504,\"Messages were missed\"]").copied().unwrap_or(0);
    assert!(told >= 6, "streams and WebSockets stood in the tail: {ends:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_went_dead_behind_a_healthy_connection_is_found() {
    let primary = Redis::start();
    let replica = primary.replica(&[]);
    let proxy = Proxy::to(primary.port());
    let trial = Trial::start([&proxy.url(), &proxy.url()]).await;
    trial.pause().await;
    blocking(|| {
        replica.wait_caught_up(&primary);
        replica.command(&["REPLICAOF", "NO", "ONE"]);
    })
    .await;
    proxy.switch(replica.port());
    // Whoever is connected stays so, and hears nothing more; whoever writes is turned away.
    blocking(|| primary.command(&["REPLICAOF", "127.0.0.1", "1"])).await;
    trial.go_on();
    trial.everybody_gets_something_new().await;
    blocking(|| {
        until("subscribed where it is published", || {
            replica.texts(&["PUBSUB", "SHARDCHANNELS"]).iter().any(|channel| channel.contains("c:news"))
        });
    })
    .await;
    let account = trial.end().await;
    account.tell("a subscription dead behind a healthy connection");
    account.check_only_late();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_by_sentinels_is_only_late() {
    let primary = Redis::start();
    let replica = primary.replica(&[]);
    let sentinels = Sentinels::start(&primary, 1, 3);
    let trial = Trial::start([&sentinels.url(), &sentinels.url()]).await;
    trial.pause().await;
    blocking(|| {
        replica.wait_caught_up(&primary);
        primary.kill();
    })
    .await;
    trial.go_on();
    let account = trial.end().await;
    assert_eq!(sentinels.primary(), replica.port());
    account.tell("Sentinel failover");
    account.check_only_late();
    assert!(!account.unready.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_of_a_cluster_is_only_late() {
    let cluster = Cluster::start(3, 1);
    let trial = Trial::start([&cluster.url(), &cluster.url()]).await;
    let slot = cluster.slot("{c:news}");
    let port = cluster.owner(slot).port();
    trial.pause().await;
    blocking(|| {
        for replica in &cluster.servers[3..] {
            let of = replica.info("replication").unwrap()["master_port"].clone();
            let primary = cluster.servers.iter().find(|server| server.port().to_string() == of).unwrap();
            replica.wait_caught_up(primary);
        }
        cluster.owner(slot).kill();
    })
    .await;
    trial.go_on();
    let account = trial.end().await;
    assert_ne!(cluster.owner(slot).port(), port);
    account.tell("Cluster failover");
    account.check_only_late();
    assert!(!account.unready.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planned_failover_of_a_cluster_under_load_is_only_late() {
    let cluster = Cluster::start(3, 1);
    let trial = Trial::start([&cluster.url(), &cluster.url()]).await;
    blocking(|| {
        for replica in &cluster.servers[3..] {
            replica.take_over();
        }
        cluster.wait_whole();
        is_followed(&cluster);
    })
    .await;
    let account = trial.end().await;
    account.tell("planned Cluster failover under load");
    account.check_only_late();
}

/// Waits until the channel is subscribed to where it is published.
fn is_followed(cluster: &Cluster) {
    let slot = cluster.slot("{c:news}");
    until("subscribed where it is published", || {
        let channels = cluster.owner(slot).texts(&["PUBSUB", "SHARDCHANNELS"]);
        channels.iter().any(|channel| channel.contains("c:news"))
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_that_move_under_load_are_followed() {
    let cluster = Cluster::start(3, 0);
    let trial = Trial::start([&cluster.url(), &cluster.url()]).await;
    blocking(|| {
        let mut slots: Vec<u16> = cluster
            .servers
            .iter()
            .flat_map(|server| server.keys("sockhop:{s"))
            .map(|key| cluster.slot(&key))
            .collect();
        slots.sort_unstable();
        slots.dedup();
        assert!(slots.len() >= 4, "sessions are spread: {slots:?}");
        slots.truncate(8);
        slots.push(cluster.slot("{c:news}"));
        slots.push(cluster.slot("{nodes}"));
        for round in 1..=2 {
            for slot in &slots {
                let from = cluster.owner(*slot).port();
                let others: Vec<_> = cluster.servers.iter().filter(|server| server.port() != from).collect();
                cluster.move_slot(*slot, others[round % 2]);
            }
        }
        is_followed(&cluster);
    })
    .await;
    let account = trial.end().await;
    account.tell("resharding under load");
    account.check_only_late();
}

/// How long faults follow each other: seconds, or as many as `SOCKHOP_FAULT_SECONDS` says.
fn long() -> Duration {
    let seconds = std::env::var("SOCKHOP_FAULT_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(6))
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_that_lose_nothing_are_only_late_one_after_the_other() {
    let redis = Redis::with(&["appendonly yes", "appendfsync always"]);
    let account = hurt(&redis, "all that lose nothing, at random", |redis| {
        let (began, mut random) = (Instant::now(), rand::rng());
        while began.elapsed() < long() {
            match random.random_range(0..4) {
                0 => {
                    redis.kill();
                    redis.restart();
                }
                1 => drop(redis.try_command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])),
                2 => drop(redis.try_command(&["CLIENT", "KILL", "TYPE", "pubsub"])),
                _ => {
                    redis.stop();
                    std::thread::sleep(Duration::from_millis(random.random_range(0..3500)));
                    redis.cont();
                }
            }
            std::thread::sleep(Duration::from_millis(random.random_range(0..1500)));
        }
    })
    .await;
    account.check_only_late();
}

#[tokio::test(flavor = "multi_thread")]
async fn failovers_of_a_cluster_under_load_lose_a_tail_at_most() {
    let cluster = Cluster::start(3, 1);
    let trial = Trial::start([&cluster.url(), &cluster.url()]).await;
    let (began, slot) = (Instant::now(), cluster.slot("{c:news}"));
    loop {
        let port = cluster.owner(slot).port();
        blocking(|| {
            let killed = cluster.owner(slot);
            killed.kill();
            until("its replica has the slot", || cluster.owner(slot).port() != port);
            killed.restart();
            cluster.wait_whole();
            killed.wait_in_sync();
        })
        .await;
        trial.everybody_gets_something_new().await;
        if began.elapsed() >= long() {
            break;
        }
    }
    let mut account = trial.end().await;
    account.tell("Cluster failover under load");
    account.forgive_repeats();
    account.check();
}
