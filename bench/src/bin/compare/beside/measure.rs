//! One round of each scenario.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use sockhop_bench::record::{Delay, Footprint, Record, Traffic};
use sockhop_bench::redis::Redis;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::figures::Outcome;
use super::scenario::Kind;
use super::server;
use super::yardstick::{self, Call, Monitor};
use crate::generator::{self, sibling};
use crate::machine::Cores;
use crate::plan::Plan;
use crate::report::thousands;
use crate::server::{Server, sockhop};

/// What all rounds share.
pub(super) struct Bench<'a> {
    /// The sockhop binary, unless it is the one beside this program.
    pub(super) sockhop: Option<&'a Path>,
    pub(super) plan: &'a Plan,
    pub(super) cores: &'a Cores,
}

/// Nodes over one Redis, or one node without.
struct Nodes {
    nodes: Vec<Server>,
    redis: Option<server::Server>,
}

/// Nodes of a cluster.
const NODES: usize = 3;
/// Where a node has its service for STOMP.
const STOMP: &str = "/stomp";
/// Messages under way in a fan-out to websockets that speak STOMP.
const WINDOW: u32 = 4;
/// Idle sessions whose memory is looked at.
const IDLE_SESSIONS: u32 = 5_000;
/// The key that the load generator shows.
const API_KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/api.keys");
/// Channels among which publishers go around.
const CHANNELS: u32 = 8;
/// Members of a fan-out.
const MEMBERS: u32 = 500;

impl Bench<'_> {
    /// One round: the yardstick, then ours.
    pub(super) async fn run(&self, kind: Kind) -> anyhow::Result<Vec<Outcome>> {
        Ok(match kind {
            Kind::Publish { publishers, channels, clients, pipeline } => {
                vec![self.publish(publishers, channels, clients, pipeline).await?]
            }
            Kind::Delivery => self.delivery().await?.to_vec(),
            Kind::FanOut { in_flight } => {
                let load = ["fan-out", "--sessions", &MEMBERS.to_string(), "--in-flight", &in_flight.to_string()];
                let (one, three) = self.one_and_three(&load, "/fan").await?;
                vec![Outcome {
                    yardstick: 1e6 / one.cpu_seconds_per_million(),
                    ours: 1e6 / three.cpu_seconds_per_million(),
                    remark: remark(&three),
                }]
            }
            Kind::Api { connections, batch } => vec![self.api(connections, batch).await?],
            Kind::History { page, in_redis, by_offset } => vec![self.history(page, in_redis, by_offset).await?],
            Kind::StompFanOut { members } => vec![self.stomp_fan_out(members).await?],
            Kind::Subscriptions { each } => vec![self.subscriptions(each).await?],
            Kind::Hook => vec![self.hook().await?],
            Kind::Polling { sessions } => {
                let load = ["xhr-polling", "--sessions", &sessions.to_string()];
                let (one, three) = self.one_and_three(&load, "/bench").await?;
                vec![Outcome {
                    yardstick: one.cpu_seconds_per_million(),
                    ours: three.cpu_seconds_per_million() + three.redis_cpu_seconds_per_million(),
                    remark: remark(&three),
                }]
            }
        })
    }

    async fn publish(
        &self,
        publishers: u32,
        channels: u32,
        clients: u32,
        pipeline: u32,
    ) -> anyhow::Result<Outcome> {
        let redis = self.redis().await?;
        let call = self.publish_call(&redis).await?;
        let ask = |count: u64| {
            let mut command = call.command(redis.address, clients, pipeline, count);
            self.cores.on_generator_core(|| Ok(command.spawn()?)).context("starting redis-benchmark")
        };
        // A first run tells how many calls take as long as the other runs do.
        let first = yardstick::rate(ask(u64::from(clients * pipeline) * 40)?).await?;
        let count = (first * self.plan.duration as f64 / 1e3) as u64 + 1;
        let before = Redis::connect(redis.address)?.spent()?;
        let rate = yardstick::rate(ask(count)?).await?;
        let spent = Redis::connect(redis.address)?.spent()?.since(&before);
        ensure!(spent.hints >= count, "only {} of {count} calls of redis-benchmark have published", spent.hints);
        let run = self.publishers(&redis, publishers, channels, self.plan.warm_up, self.plan.duration).await?;
        Ok(Outcome { yardstick: rate, ours: run.throughput(), remark: remark(&run) })
    }

    /// How a node calls the publish script.
    async fn publish_call(&self, redis: &server::Server) -> anyhow::Result<Call> {
        let monitor = Monitor::start(redis.address)?;
        self.publishers(redis, 1, 1, 0, 50).await?;
        monitor.publish()
    }

    async fn publishers(
        &self,
        redis: &server::Server,
        publishers: u32,
        channels: u32,
        warm_up: u64,
        duration: u64,
    ) -> anyhow::Result<Traffic> {
        let mut command = Command::new(sibling("publish")?);
        command.args(["--redis", &redis.address.to_string()]);
        command.args(["--publishers", &publishers.to_string(), "--channels", &channels.to_string()]);
        command.args(["--warm-up", &warm_up.to_string(), "--duration", &duration.to_string()]);
        traffic(self.generator(command).await?)
    }

    /// Publishers inside a node, and then as many connections at a node's API.
    async fn api(&self, connections: u32, batch: u32) -> anyhow::Result<Outcome> {
        let redis = self.redis().await?;
        let alone = self.publishers(&redis, connections, CHANNELS, self.plan.warm_up, self.plan.duration).await?;
        drop(redis);
        let nodes = self.nodes(1, true).await?;
        let (connections, batch) = (connections.to_string(), batch.to_string());
        let load = ["api-publish", "--sessions", &connections, "--in-flight", &batch];
        let run = traffic(self.load(&load, &nodes.nodes, nodes.redis.as_ref(), "/api").await?)?;
        nodes.stop().await?;
        let bare = self.bare_api(&load).await?;
        let remark = format!(
            "a node: {:.1} µs of CPU each; {}; a bare HTTP server that keeps nothing: {} messages per second, {:.1} µs each",
            run.cpu_seconds_per_million(),
            remark(&run),
            thousands(bare.throughput()),
            bare.cpu_seconds_per_million(),
        );
        Ok(Outcome { yardstick: alone.throughput(), ours: run.throughput(), remark })
    }

    /// The same calls, read and answered by a server that does nothing else.
    async fn bare_api(&self, load: &[&str]) -> anyhow::Result<Traffic> {
        let mut command = Command::new(sibling("bare")?);
        command.arg("api-publish");
        let server = self.cores.on_server_core(|| Server::run(command)).context("starting the bare server")?;
        let servers = [server.ready().await?];
        let run = traffic(self.load(load, &servers, None, "/api").await?)?;
        for server in servers {
            server.stop().await?;
        }
        Ok(run)
    }

    /// Bare messages of a channel to so many websockets, and then messages of a topic.
    async fn stomp_fan_out(&self, members: u32) -> anyhow::Result<Outcome> {
        let (members, window) = (members.to_string(), WINDOW.to_string());
        let run = async |dialect: &str, service: &str| {
            let load = ["fan-out", "--dialect", dialect, "--sessions", &members, "--in-flight", &window];
            let nodes = self.nodes(1, false).await?;
            let run = traffic(self.load(&load, &nodes.nodes, None, service).await?)?;
            nodes.stop().await?;
            anyhow::Ok(run)
        };
        let (bare, stomp) = (run("sockjs", "/fan").await?, run("stomp", STOMP).await?);
        let (each, beside) = (thousands(stomp.throughput()), thousands(bare.throughput()));
        Ok(Outcome {
            yardstick: 1e6 / bare.cpu_seconds_per_million(),
            ours: 1e6 / stomp.cpu_seconds_per_million(),
            remark: format!("{each} per second, beside {beside}"),
        })
    }

    /// Memory of idle sessions of STOMP, without and with subscriptions.
    async fn subscriptions(&self, each: u32) -> anyhow::Result<Outcome> {
        let sessions = self.plan.idle_sessions.unwrap_or(IDLE_SESSIONS).to_string();
        let run = async |each: u32| {
            let load = ["idle-stomp", "--sessions", &sessions, "--subscriptions", &each.to_string()];
            let nodes = self.nodes(1, false).await?;
            let run = footprint(self.load(&load, &nodes.nodes, None, STOMP).await?)?;
            nodes.stop().await?;
            anyhow::Ok(run.bytes_per_session())
        };
        let (without, with) = (run(0).await?, run(each).await?);
        Ok(Outcome { yardstick: without, ours: with, remark: format!("{sessions} sessions") })
    }

    /// What a hook adds to a message, and a round trip to the application.
    async fn hook(&self) -> anyhow::Result<Outcome> {
        let mut command = Command::new(sibling("hook")?);
        command.args(["--duration", &self.plan.duration.to_string()]);
        let told = generator::output(generator::start(command)?).await?;
        let delays: Vec<_> = told.lines().map(|line| delay(line.parse()?)).collect::<anyhow::Result<_>>()?;
        let &[hook, topic, post] = delays.as_slice() else { bail!("three delays were to be told, not {told:?}") };
        Ok(Outcome {
            yardstick: post.p50,
            ours: hook.p50 - topic.p50,
            remark: format!("{:.0} to the application, {:.0} to a topic", hook.p50, topic.p50),
        })
    }

    /// The first page of history, and another one.
    async fn history(&self, page: u32, in_redis: bool, by_offset: bool) -> anyhow::Result<Outcome> {
        let redis = if in_redis { Some(self.redis().await?) } else { None };
        let read = async |page: u32, more: &[&str]| {
            let mut command = Command::new(sibling("history")?);
            command.args(["--page", &page.to_string()]).args(more);
            if let Some(redis) = &redis {
                command.args(["--redis", &redis.address.to_string()]);
            }
            delay(self.generator(command).await?)
        };
        let first = read(1, &[]).await?;
        let other = read(page, if by_offset { &["--offset", "--times", "5"] } else { &[] }).await?;
        let remark = format!("99 of 100: {:.0}, beside {:.0}", other.p99, first.p99);
        Ok(Outcome { yardstick: first.p50, ours: other.p50, remark })
    }

    async fn delivery(&self) -> anyhow::Result<[Outcome; 2]> {
        let hop = self.hop().await?;
        let nodes = self.nodes(NODES, true).await?;
        let echo = delay(self.load(&["delivery"], &nodes.nodes[..1], None, "/bench").await?)?;
        let across = delay(self.load(&["delivery"], &nodes.nodes[..2], None, "/fan").await?)?;
        nodes.stop().await?;
        let outcome = |part: fn(&Delay) -> f64| Outcome {
            yardstick: 2.0 * part(&hop) + part(&echo),
            ours: part(&across),
            remark: format!("a hop {:.0}, an echo {:.0}", part(&hop), part(&echo)),
        };
        Ok([outcome(|delay| delay.p50), outcome(|delay| delay.p99)])
    }

    async fn hop(&self) -> anyhow::Result<Delay> {
        let redis = self.redis().await?;
        let side = |side: &str| -> anyhow::Result<Command> {
            let mut command = Command::new(sibling("hop")?);
            command.args([side, "--redis", &redis.address.to_string()]);
            command.args(["--duration", &self.plan.duration.to_string()]);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
            Ok(command)
        };
        let mut subscriber = self.cores.on_generator_core(|| Ok(side("subscribe")?.spawn()?))?;
        let output = subscriber.stdout.take().context("the subscriber's output is not piped")?;
        let mut lines = BufReader::new(output).lines();
        ensure!(lines.next_line().await?.as_deref() == Some("ready"), "the subscriber is not ready");
        generator::output(self.cores.on_generator_core(|| generator::start(side("publish")?))?).await?;
        let record = lines.next_line().await?.context("the subscriber told nothing")?.parse()?;
        ensure!(subscriber.wait().await?.success(), "the subscriber failed");
        delay(record)
    }

    /// The same load at one node with its store in memory, and at three over Redis.
    async fn one_and_three(&self, load: &[&str], service: &str) -> anyhow::Result<(Traffic, Traffic)> {
        let one = self.nodes(1, false).await?;
        let alone = traffic(self.load(load, &one.nodes, None, service).await?)?;
        one.stop().await?;
        let three = self.nodes(NODES, true).await?;
        let together = traffic(self.load(load, &three.nodes, three.redis.as_ref(), service).await?)?;
        three.stop().await?;
        Ok((alone, together))
    }

    async fn redis(&self) -> anyhow::Result<server::Server> {
        server::Server::start(|command| self.cores.on_server_core(|| Ok(command.spawn()?))).await
    }

    async fn nodes(&self, count: usize, over_redis: bool) -> anyhow::Result<Nodes> {
        let program = crate::sockhop(self.sockhop)?;
        let redis = if over_redis { Some(self.redis().await?) } else { None };
        let mut nodes = Vec::new();
        for _ in 0..count {
            let mut command = sockhop(&program);
            command.args(["--api-path", "/api", "--api-keys", API_KEYS]);
            command.args(["--service", &format!("{STOMP}=stomp")]);
            if let Some(redis) = &redis {
                command.args(["--store", &redis.url()]);
            }
            let starting = self.cores.on_server_core(|| Server::run(command)).context("starting sockhop")?;
            nodes.push(starting.ready().await?);
        }
        Ok(Nodes { nodes, redis })
    }

    async fn load(
        &self,
        load: &[&str],
        nodes: &[Server],
        redis: Option<&server::Server>,
        service: &str,
    ) -> anyhow::Result<Record> {
        let mut command = Command::new(sibling("load")?);
        command.args(load);
        for node in nodes {
            command.args(["--url", &format!("{}{service}", node.origin), "--server-pid", &node.pid.to_string()]);
        }
        if let Some(redis) = redis {
            command.args(["--redis", &redis.address.to_string()]);
        }
        command.args(["--warm-up", &self.plan.warm_up.to_string(), "--duration", &self.plan.duration.to_string()]);
        self.generator(command).await
    }

    async fn generator(&self, command: Command) -> anyhow::Result<Record> {
        generator::run(self.cores.on_generator_core(|| generator::start(command))?).await
    }
}

impl Nodes {
    async fn stop(self) -> anyhow::Result<()> {
        for node in self.nodes {
            node.stop().await?;
        }
        Ok(())
    }
}

/// What Redis did for it.
fn remark(run: &Traffic) -> String {
    let per_message = |count: u64| count as f64 / run.messages as f64;
    format!(
        "Redis: {:.1} µs, {:.2} scripts, {:.2} Pub/Sub messages each",
        run.redis_cpu_seconds_per_million(),
        per_message(run.redis.scripts),
        per_message(run.redis.hints)
    )
}

fn traffic(record: Record) -> anyhow::Result<Traffic> {
    match record {
        Record::Traffic(run) => Ok(run),
        other => bail!("traffic was to be measured, {other} came"),
    }
}

fn footprint(record: Record) -> anyhow::Result<Footprint> {
    match record {
        Record::Footprint(run) => Ok(run),
        other => bail!("memory was to be measured, {other} came"),
    }
}

fn delay(record: Record) -> anyhow::Result<Delay> {
    match record {
        Record::Delay(run) => Ok(run),
        other => bail!("delays were to be measured, {other} came"),
    }
}
