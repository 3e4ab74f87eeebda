//! One node of the cluster: a process at a fixed address that ends and comes back as it is told.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::child::Child;

/// A node; clones are the same one.
#[derive(Debug, Clone)]
pub(super) struct Node {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    number: usize,
    port: u16,
    recipe: Recipe,
    orders: mpsc::Sender<Order>,
    taken: std::sync::Mutex<Option<mpsc::Receiver<Order>>>,
    state: watch::Sender<State>,
}

/// How a node's processes are started and ended.
#[derive(Debug, Default)]
pub(super) struct Recipe {
    pub(super) arguments: Vec<String>,
    /// The process group.
    pub(super) group: i32,
    /// How long it may take to drain before it is killed.
    pub(super) patience: Duration,
}

/// What a node can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Start,
    Drain,
    Kill,
}

/// What a node is at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct State {
    pub(super) phase: Phase,
    /// Its process, while there is one.
    pub(super) pid: Option<u32>,
    /// Its id, by which its answers name it; each process has another.
    pub(super) id: Option<String>,
    /// How its last process ended.
    pub(super) how: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Phase {
    /// It runs and is not ready yet.
    Starting,
    Running,
    /// It was told to drain.
    Draining,
    Ended,
}

impl Phase {
    /// Whether a node can be told that now.
    pub(super) fn allows(self, order: Order) -> bool {
        match order {
            Order::Start => self == Self::Ended,
            Order::Drain => matches!(self, Self::Starting | Self::Running),
            Order::Kill => self != Self::Ended,
        }
    }
}

impl Node {
    pub(super) fn new(number: usize, port: u16, recipe: Recipe) -> Self {
        let (orders, taken) = mpsc::channel(ORDERS);
        let state = State { phase: Phase::Starting, pid: None, id: None, how: None };
        let (taken, state) = (std::sync::Mutex::new(Some(taken)), watch::Sender::new(state));
        Self { inner: Arc::new(Inner { number, port, recipe, orders, taken, state }) }
    }

    pub(super) fn number(&self) -> usize {
        self.inner.number
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.inner.port)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address())
    }

    /// The store that it was told to use.
    pub(super) fn store(&self) -> &str {
        let arguments = &self.inner.recipe.arguments;
        let at = arguments.iter().position(|argument| argument == "--store");
        at.and_then(|at| arguments.get(at + 1)).map_or("", String::as_str)
    }

    pub(super) fn state(&self) -> State {
        self.inner.state.borrow().clone()
    }

    /// Tells it something; whether it can be told that now.
    pub(super) fn tell(&self, order: Order) -> bool {
        self.state().phase.allows(order) && self.inner.orders.try_send(order).is_ok()
    }

    /// Waits until it is ready for the first time.
    pub(super) async fn ready(&self) -> anyhow::Result<()> {
        let mut states = self.inner.state.subscribe();
        let state = states.wait_for(|state| matches!(state.phase, Phase::Running | Phase::Ended)).await?.clone();
        match state.phase {
            Phase::Ended => bail!("node {} {}", self.number(), state.how.unwrap_or_default()),
            _ => Ok(()),
        }
    }

    /// Lives until the end, at which it is drained.
    pub(super) async fn run(self, end: CancellationToken) {
        let taken = self.inner.taken.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(mut orders) = taken else { return };
        loop {
            let how = match self.start() {
                Ok(child) => self.live(child, &mut orders, &end).await,
                Err(error) => format!("{error:#}"),
            };
            // What it was told while it ended is about what is no more.
            while orders.try_recv().is_ok() {}
            self.inner.state.send_modify(|state| {
                *state = State { phase: Phase::Ended, pid: None, id: None, how: Some(how) };
            });
            loop {
                tokio::select! {
                    () = end.cancelled() => return,
                    order = orders.recv() => match order {
                        Some(Order::Start) => break,
                        Some(_) => {}
                        None => return,
                    },
                }
            }
        }
    }

    fn start(&self) -> anyhow::Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(&self.inner.recipe.arguments);
        let child = Child::start(&format!("node {}", self.number()), command, self.inner.recipe.group, None)?;
        self.inner.state.send_modify(|state| {
            *state = State { phase: Phase::Starting, pid: Some(child.pid()), id: None, how: None };
        });
        Ok(child)
    }

    /// Follows a process to its end; how that came.
    async fn live(&self, mut child: Child, orders: &mut mpsc::Receiver<Order>, end: &CancellationToken) -> String {
        let mut told = None;
        loop {
            let starting = self.state().phase == Phase::Starting;
            tokio::select! {
                how = child.ended() => {
                    let how = match told {
                        None => how,
                        Some(Order::Kill) => "was killed".to_owned(),
                        Some(_) => format!("was drained and {how}"),
                    };
                    tracing::warn!(node = self.number(), "the node {how}");
                    return how;
                }
                id = self.answers(), if starting => self.inner.state.send_modify(|state| {
                    if state.phase == Phase::Starting {
                        state.phase = Phase::Running;
                    }
                    state.id = Some(id);
                }),
                order = orders.recv() => match order {
                    Some(Order::Drain) => {
                        told = Some(Order::Drain);
                        child.terminate();
                        self.inner.state.send_modify(|state| state.phase = Phase::Draining);
                    }
                    Some(Order::Kill) => {
                        told = Some(Order::Kill);
                        child.kill();
                    }
                    Some(Order::Start) | None => {}
                },
                () = end.cancelled() => return child.end(self.inner.recipe.patience).await,
            }
        }
    }

    /// Asks until it says that it is ready, and under which id.
    async fn answers(&self) -> String {
        loop {
            if let Some(id) = self.ask().await {
                return id;
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    async fn ask(&self) -> Option<String> {
        let mut connection = TcpStream::connect(self.address()).await.ok()?;
        let request = format!("GET /readyz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address());
        connection.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        connection.take(LONGEST_ANSWER).read_to_string(&mut answer).await.ok()?;
        let mut lines = answer.lines();
        lines.next().filter(|status| status.starts_with("HTTP/1.1 200"))?;
        lines.find_map(|line| line.strip_prefix("x-sockhop-node: ")).map(str::to_owned)
    }
}

/// What a node can be told before it has heard: more is not meant.
const ORDERS: usize = 8;
/// How long nodes are asked again until they are ready.
const ASK_AGAIN: Duration = Duration::from_millis(50);
const LONGEST_ANSWER: u64 = 4096;
