//! Whole nodes under bad luck: random lives of a cluster, whose every client must see what is promised.
//!
//! Clients poll or stream, or come and go on WebSockets whose sessions are anchored, in a room whose members are kept.
//! Commands come late and out of order, hints get lost, answers are lost on their way to the balancer, nodes are killed,
//! stand still, and are drained, on a clock that jumps. A failing run prints its seed; `SIMULATION_SEED=n` runs that one
//! alone, `SIMULATION_RUNS=n` so many.

mod chaos;
mod client;
mod cluster;
mod ends;
mod guest;
mod oracle;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use sockhop::ChannelName;
use tokio::time::{Instant, sleep};

use self::chaos::Weather;
use self::client::{Client, Receives};
use self::cluster::Cluster;
use self::guest::Guest;
use self::oracle::{CHANNELS, Oracle};

/// What may happen in a run.
#[derive(Debug, Clone, Copy)]
struct Plan {
    weather: Weather,
    kills: bool,
    stops: bool,
    drains: bool,
    /// Of a hundred answers, those that are lost.
    lost_answers: u32,
}

/// How long things happen.
const STORM: Duration = Duration::from_secs(25);
/// How long a client may take, once all is calm, to have what it must have. Where hints got lost, the next heartbeat
/// of the nodes tells.
const SOON: Duration = Duration::from_secs(1);
const AFTER_A_HEARTBEAT: Duration = Duration::from_secs(40);

/// How long a client that sends may take for all of it, once all is calm.
const STUCK: Duration = Duration::from_secs(300);

fn plan(random: &mut SmallRng) -> Plan {
    let weather = Weather {
        latency: random.random_range(1..20),
        late: [0, 5, 20][random.random_range(0..3)],
        given_up: [0, 2, 10][random.random_range(0..3)],
        lost_hints: [0, 10, 100][random.random_range(0..3)],
    };
    let mut maybe = || random.random_bool(0.5);
    Plan { weather, kills: maybe(), stops: maybe(), drains: maybe(), lost_answers: if maybe() { 10 } else { 0 } }
}

async fn live(seed: u64) {
    let random = &mut SmallRng::seed_from_u64(seed);
    let plan = plan(random);
    let oracle = Arc::new(Oracle::default());
    let cluster = Cluster::start(&oracle, seed, plan.weather);
    let mut clients = Vec::new();
    let (mut receiving, mut sending) = (Vec::new(), Vec::new());
    for number in 0..8 {
        let receives = if number % 3 == 2 { Receives::Streams } else { Receives::Polls };
        let client =
            Client::new(format!("client-{number}"), receives, &cluster, &oracle, seed + number, plan.lost_answers);
        receiving.push(tokio::task::spawn_local(Rc::clone(&client).receive()));
        sending.push(tokio::task::spawn_local(Rc::clone(&client).send(20)));
        clients.push(client);
    }
    let guests: Vec<_> = (0..4)
        .map(|number| Guest::new(format!("guest-{number}"), &cluster, &oracle, seed + 200 + number))
        .collect();
    for guest in &guests {
        tokio::task::spawn_local(Rc::clone(guest).live(Instant::now() + STORM));
    }
    let publishing: Vec<_> = (0..CHANNELS.len())
        .map(|channel| {
            let (cluster, oracle) = (Rc::clone(&cluster), Arc::clone(&oracle));
            tokio::task::spawn_local(publish(cluster, oracle, channel, seed + 100))
        })
        .collect();
    storm(&cluster, &plan, random).await;
    cluster.calm();
    for task in publishing {
        task.await.unwrap();
    }
    for (task, client) in sending.into_iter().zip(&clients) {
        let sent = tokio::time::timeout(STUCK, task).await;
        sent.unwrap_or_else(|_| panic!("{} is stuck while it sends, {plan:?}", client.name)).unwrap();
    }
    let patience = if plan.weather.lost_hints > 0 || plan.kills || plan.stops { AFTER_A_HEARTBEAT } else { SOON };
    let deadline = Instant::now() + patience;
    while clients.iter().any(|client| !client.is_served()) && Instant::now() < deadline {
        sleep(Duration::from_millis(10)).await;
    }
    let deadline = Instant::now() + STUCK;
    while let Some(lack) = Guest::lacks(&guests, cluster.store(), &cluster.any().await).await {
        assert!(Instant::now() < deadline, "{lack}, {plan:?}");
        sleep(Duration::from_millis(100)).await;
    }
    for receiving in receiving {
        // Where it saw what must not be, that is the reason to fail.
        if receiving.is_finished() {
            receiving.await.unwrap();
        }
    }
    for client in &clients {
        assert!(client.is_served(), "{:?}, {plan:?}", client.lacks());
        client.settle();
    }
}

/// Publishes numbers to a channel, one after the other, each through some node.
async fn publish(cluster: Rc<Cluster>, oracle: Arc<Oracle>, channel: usize, seed: u64) {
    let mut random = SmallRng::seed_from_u64(seed + channel as u64);
    let name = ChannelName::new(CHANNELS[channel]).unwrap();
    let end = Instant::now() + STORM;
    while Instant::now() < end {
        let node = cluster.any().await;
        let number = oracle.next(channel);
        let published = tokio::time::timeout(
            Duration::from_secs(3),
            node.publish(&name, format!("{} {number}", CHANNELS[channel])),
        );
        if !matches!(published.await, Ok(Ok(_))) {
            oracle.doubt(channel, number);
            // It may yet be under way: what comes after it must not be overtaken.
            sleep(Duration::from_secs(20)).await;
        }
        sleep(Duration::from_millis(random.random_range(0..150))).await;
    }
}

/// Does to nodes what the plan allows.
async fn storm(cluster: &Rc<Cluster>, plan: &Plan, random: &mut SmallRng) {
    let end = Instant::now() + STORM;
    while Instant::now() < end {
        sleep(Duration::from_millis(random.random_range(100..3000))).await;
        let place = random.random_range(0..3);
        let pause = Duration::from_millis(random.random_range(10..5000));
        match random.random_range(0..3) {
            0 if plan.kills => cluster.kill(place, pause).await,
            1 if plan.stops => cluster.stop(place, pause).await,
            2 if plan.drains => cluster.drain(place).await,
            _ => {}
        }
    }
}

fn run(seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, live(seed));
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

#[test]
fn every_client_sees_what_is_promised() {
    if let Some(seed) = number("SIMULATION_SEED") {
        return run(seed);
    }
    let failed: Vec<_> = (0..number("SIMULATION_RUNS").unwrap_or(150))
        .filter(|seed| std::panic::catch_unwind(|| run(*seed)).is_err())
        .collect();
    assert!(failed.is_empty(), "run with SIMULATION_SEED set to one of {failed:?}");
}
