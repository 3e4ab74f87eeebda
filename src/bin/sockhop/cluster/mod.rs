//! The `cluster` command: Redis, several nodes and nginx on this machine, for a developer to play with.
//!
//! It supervises but does not heal: a node that ends stays ended until somebody starts it again, so that one sees what
//! its end does to sessions. All else that ends takes the whole cluster with it.

mod balancer;
mod child;
mod control;
mod node;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use rand::Rng;
use sockhop::server::{Drain, Limits, Server};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) use self::balancer::CONNECTIONS;
use self::child::{Child, Group};
use self::control::Control;
use self::node::{Node, Recipe};
use crate::settings::Settings;

/// What it is started with; the help's text stands where the commands are listed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Cluster {
    /// How many nodes, 1 to 9
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: u8,

    /// Address of the page, which is nginx's; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// Port of Redis on this machine; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    redis_port: u16,

    /// Options of `sockhop serve` for every node, after `--`
    #[arg(last = true, value_name = "OPTIONS")]
    serve: Vec<String>,
}

const EXAMPLES: &str = "Examples:
  sockhop cluster                           three nodes, the page on http://127.0.0.1:8080/
  sockhop cluster --nodes 5 --listen 127.0.0.1:9000
  sockhop cluster -- --service /live=broadcast --heartbeat 5s --drain-timeout 3s";

impl Cluster {
    /// Runs it until SIGTERM or SIGINT, or until a part fails.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut stop = stop_signal()?;
        let folder = tempfile::Builder::new().prefix("sockhop-cluster-").tempdir()?;
        let listen = SocketAddr::new(self.listen.ip(), port(self.listen.ip(), self.listen.port())?);
        let redis_port = port(Ipv4Addr::LOCALHOST.into(), self.redis_port)?;
        let group = Group::start()?;
        let nodes = self.nodes(redis_port, &group)?;
        let mut redis = redis(redis_port, &group, folder.path())?;
        let (end, mut running, mut nginx) = (CancellationToken::new(), JoinSet::new(), None);
        let cluster = async {
            redis.listens(SocketAddr::from((Ipv4Addr::LOCALHOST, redis_port))).await?;
            for node in &nodes {
                running.spawn(node.clone().run(end.clone()));
            }
            tokio::select! {
                failure = redis.failed() => Err(failure),
                outcome = serve(&nodes, &mut nginx, listen, &group, folder.path()) => outcome,
            }
        };
        let outcome = tokio::select! {
            outcome = cluster => outcome,
            () = stop.recv() => Ok(()),
        };
        end.cancel();
        tokio::select! {
            () = async { while running.join_next().await.is_some() {} } => {}
            // Whoever asks twice does not want to wait: what still runs is killed when it is dropped.
            () = stop.recv() => running.shutdown().await,
        }
        for mut program in nginx.into_iter().chain([redis]) {
            program.end(PATIENCE).await;
        }
        group.end().await;
        outcome
    }

    fn nodes(&self, redis_port: u16, group: &Group) -> anyhow::Result<Vec<Node>> {
        (1..=usize::from(self.nodes))
            .map(|number| {
                let port = free_port()?;
                let mut arguments: Vec<String> = [
                    "serve",
                    "--listen",
                    &format!("127.0.0.1:{port}"),
                    "--store",
                    &format!("redis://127.0.0.1:{redis_port}"),
                    "--request-id-header",
                    "x-request-id",
                    "--show-node",
                ]
                .map(str::to_owned)
                .into();
                if !self.serve.iter().any(|option| option.starts_with("--demo")) {
                    arguments.push("--demo".to_owned());
                }
                arguments.extend(self.serve.iter().cloned());
                let patience = check(&arguments)? + PATIENCE;
                Ok(Node::new(number, port, Recipe { arguments, group: group.id(), patience }))
            })
            .collect()
    }
}

/// A given port, which must be free, or a free one for 0.
fn port(ip: IpAddr, given: u16) -> anyhow::Result<u16> {
    if given == 0 {
        return free_port();
    }
    let address = SocketAddr::new(ip, given);
    TcpListener::bind(address).with_context(|| format!("could not listen on {address}"))?;
    Ok(given)
}

/// Whether nodes could be started with these arguments, and how long they would take to drain at most.
fn check(arguments: &[String]) -> anyhow::Result<Duration> {
    let command = std::iter::once("sockhop").chain(arguments.iter().map(String::as_str));
    match crate::Cli::try_parse_from(command) {
        Ok(crate::Cli { command: Some(crate::Command::Serve(serve)), .. }) => {
            let settings =
                Settings::load(&serve.options, serve.config.as_deref()).context("the nodes' options")?;
            Ok(settings.drain.grace + settings.drain.timeout)
        }
        Ok(_) => bail!("after `--` come options of `sockhop serve`"),
        Err(error) => bail!("the nodes' options: {}", error.to_string().trim_start_matches("error: ")),
    }
}

/// Starts what the nodes are seen through, says where it is, and goes on until it ends.
async fn serve(
    nodes: &[Node],
    nginx: &mut Option<Child>,
    listen: SocketAddr,
    group: &Group,
    folder: &Path,
) -> anyhow::Result<()> {
    for node in nodes {
        node.ready().await?;
    }
    let host = sockhop::Node::new();
    let server = Server::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Limits::default())?;
    let control = Control::new(nodes.to_vec(), listen);
    let nginx = nginx.insert(balancer::start(listen, nodes, server.local_addr()?, group, folder)?);
    nginx.listens(listen).await?;
    announce(listen, nodes, folder)?;
    let serving = server.serve(&host, Vec::new(), control.routes(), std::future::pending(), Drain::default());
    tokio::select! {
        _ = serving => Ok(()),
        failure = nginx.failed() => Err(failure),
    }
}

fn redis(port: u16, group: &Group, folder: &Path) -> anyhow::Result<Child> {
    let mut command = child::program("redis-server", "redis-server")?;
    let log = folder.join("redis.log");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--maxmemory-policy", "noeviction"]);
    command.args(["--save", "", "--appendonly", "no"]).arg("--dir").arg(folder).arg("--logfile").arg(&log);
    Child::start("redis-server", command, group.id(), log)
}

fn announce(listen: SocketAddr, nodes: &[Node], folder: &Path) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "sockhop {} cluster listening on http://{listen}/", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "  page      http://{listen}/ (through nginx, each request to the next node)")?;
    writeln!(out, "  chat      http://{listen}/chat/")?;
    for node in nodes {
        let pid = node.state().pid.map_or_else(|| "–".to_owned(), |pid| pid.to_string());
        writeln!(out, "  node {}    {} (process {pid})", node.number(), node.url())?;
    }
    writeln!(out, "  redis     {}", nodes.first().map_or("", Node::store))?;
    writeln!(out, "  files     {}", folder.display())?;
    writeln!(out, "  drain     the page's button, or kill PROCESS")?;
    writeln!(out, "  kill      the page's button, or kill -9 PROCESS; the page's button starts it again")?;
    writeln!(out, "  stop      Ctrl-C or SIGTERM, drains all nodes; a second time: at once")?;
    out.flush()?;
    Ok(())
}

/// The signals that end the cluster.
struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

fn stop_signal() -> anyhow::Result<Stop> {
    Ok(Stop { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
}

impl Stop {
    async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// A port that nobody uses, below those from which systems take the ports of outgoing connections: it is still free when
/// a node that was killed comes back to it.
fn free_port() -> anyhow::Result<u16> {
    for _ in 0..1000 {
        let port = rand::rng().random_range(10_000..32_000);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("found no free port between 10000 and 32000")
}

/// How long nginx and Redis may take to end: they have nothing to do any more, and nothing to save.
const PATIENCE: Duration = Duration::from_secs(5);
