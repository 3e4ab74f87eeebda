//! Pub/Sub: one connection to each server beside the one for commands, and what is subscribed to over it.
//!
//! All that arrives is a hint. What a connection may have missed is made up for by reading once it is back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, RedisError, Value};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::link::Unusable;
use super::servers::{Server, Servers, pause};
use crate::store::StoreError;

/// What happens on Pub/Sub.
pub(super) trait Listener: Send + Sync + 'static {
    /// A message came.
    fn heard(&self, topic: &Topic, payload: Vec<u8>);

    /// These are subscribed to again: something may have been missed.
    fn resumed(&self, topics: Vec<Topic>);
}

/// What a Pub/Sub channel is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Topic {
    Channel(crate::id::ChannelName),
    Inbox(crate::id::NodeId),
    Probe,
}

/// All subscriptions of a store.
pub(super) struct Subscriptions {
    servers: Arc<Servers>,
    listener: Weak<dyn Listener>,
    wanted: RwLock<HashMap<String, Arc<Wanted>>>,
    ears: Mutex<Vec<Arc<Ear>>>,
    ids: AtomicU64,
    wake: Arc<Notify>,
}

/// One subscription.
struct Wanted {
    topic: Topic,
    slot: u16,
    /// The connection over which it is on; 0 while it is not.
    on: watch::Sender<u64>,
    /// Whether it has ever been on.
    known: std::sync::atomic::AtomicBool,
    /// Whether something was heard since it was last asked.
    lively: std::sync::atomic::AtomicBool,
}

/// One connection that listens.
struct Ear {
    id: u64,
    server: Arc<Server>,
    connection: MultiplexedConnection,
    closed: CancellationToken,
    /// A subscription over it was acknowledged or refused: from then on acknowledgements are heard as they come.
    tried: std::sync::atomic::AtomicBool,
    /// Which subscriptions were asked for over it.
    asked: Mutex<HashMap<String, Instant>>,
    /// The newest probe that was sent, when, and the newest that was heard.
    probe: Mutex<(u64, Option<Instant>)>,
}

/// How long a subscription that was asked for is waited for before it is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(2);

impl Subscriptions {
    pub(super) fn start(servers: Arc<Servers>, listener: Weak<dyn Listener>) -> Arc<Self> {
        let subscriptions = Arc::new(Self {
            servers,
            listener,
            wanted: RwLock::default(),
            ears: Mutex::default(),
            ids: AtomicU64::new(1),
            wake: Arc::default(),
        });
        tokio::spawn(keep(Arc::downgrade(&subscriptions)));
        subscriptions
    }

    fn wanted(&self, name: &str) -> Option<Arc<Wanted>> {
        self.wanted.read().unwrap_or_else(PoisonError::into_inner).get(name).map(Arc::clone)
    }

    fn ears(&self) -> MutexGuard<'_, Vec<Arc<Ear>>> {
        self.ears.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Subscribes, and resolves once that is certain.
    pub(super) async fn add(
        &self,
        name: &str,
        slot: u16,
        topic: Topic,
        patience: Duration,
    ) -> Result<(), StoreError> {
        let wanted = {
            let mut all = self.wanted.write().unwrap_or_else(PoisonError::into_inner);
            let fresh = || {
                Arc::new(Wanted {
                    topic,
                    slot,
                    on: watch::Sender::new(0),
                    known: false.into(),
                    lively: true.into(),
                })
            };
            Arc::clone(all.entry(name.to_owned()).or_insert_with(fresh))
        };
        let mut on = wanted.on.subscribe();
        if *on.borrow_and_update() == 0 {
            self.wake.notify_one();
        }
        let certain = on.wait_for(|on| *on != 0);
        match tokio::time::timeout(patience, certain).await {
            Ok(_) => Ok(()),
            Err(_) => {
                let reason = "channel: the subscription was not acknowledged in time".to_owned();
                Err(StoreError { operation: "subscribe", reason })
            }
        }
    }

    /// Ends a subscription.
    pub(super) fn remove(&self, name: &str) {
        let gone = self.wanted.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        let Some(gone) = gone else { return };
        let on = *gone.on.borrow();
        let ear = self.ears().iter().find(|ear| ear.id == on).map(Arc::clone);
        if let Some(ear) = ear {
            ear.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
            let mut command = redis::cmd("SUNSUBSCRIBE");
            command.arg(name).set_no_response(true);
            tokio::spawn(async move { ear.connection.clone().send_packed_command(&command).await });
        }
    }

    /// Whether there is a connection to each server, whose last probe came back in time.
    pub(super) fn are_healthy(&self, timeout: Duration) -> bool {
        let ears = self.ears();
        let map = self.servers.map();
        let servers = map.servers();
        !servers.is_empty()
            && servers.iter().all(|server| {
                ears.iter().any(|ear| {
                    let (_, waiting) = *ear.probe.lock().unwrap_or_else(PoisonError::into_inner);
                    Arc::ptr_eq(&ear.server, server)
                        && !ear.closed.is_cancelled()
                        && waiting.is_none_or(|since| since.elapsed() < timeout)
                })
            })
    }

    /// Channels of which nothing was heard since this was last asked.
    pub(super) fn silent(&self) -> Vec<Topic> {
        let wanted = self.wanted.read().unwrap_or_else(PoisonError::into_inner);
        wanted
            .values()
            .filter(|wanted| !wanted.lively.swap(false, Ordering::Relaxed) && *wanted.on.borrow() != 0)
            .map(|wanted| wanted.topic.clone())
            .collect()
    }

    /// Ends connections whose probe has not come back in time, and names those to probe: their servers, with a number.
    pub(super) fn probe(&self, timeout: Duration) -> Vec<(Arc<Server>, u64)> {
        let ears = self.ears();
        let mut due = Vec::new();
        for ear in ears.iter().filter(|ear| !ear.closed.is_cancelled()) {
            let mut probe = ear.probe.lock().unwrap_or_else(PoisonError::into_inner);
            match probe.1 {
                Some(since) if since.elapsed() >= timeout => {
                    tracing::warn!(server = %ear.server.place, "subscriptions are silent: connecting anew");
                    ear.closed.cancel();
                }
                Some(_) => {}
                None => {
                    *probe = (self.ids.fetch_add(1, Ordering::Relaxed), Some(Instant::now()));
                    due.push((Arc::clone(&ear.server), probe.0));
                }
            }
        }
        due
    }

    /// A probe came back.
    pub(super) fn probed(&self, number: u64) {
        for ear in self.ears().iter() {
            let mut probe = ear.probe.lock().unwrap_or_else(PoisonError::into_inner);
            if probe.0 == number {
                probe.1 = None;
            }
        }
    }

    /// Something that is said over a connection.
    fn pushed(&self, ear: u64, closed: &CancellationToken, push: PushInfo) {
        match push.kind {
            PushKind::Disconnection => closed.cancel(),
            PushKind::SMessage => {
                let mut data = push.data.into_iter();
                if let (Some(Value::BulkString(name)), Some(Value::BulkString(payload))) =
                    (data.next(), data.next())
                    && let Ok(name) = std::str::from_utf8(&name)
                    && let Some(wanted) = self.wanted(name)
                    && let Some(listener) = self.listener.upgrade()
                {
                    wanted.lively.store(true, Ordering::Relaxed);
                    listener.heard(&wanted.topic, payload);
                }
            }
            PushKind::SSubscribe => {
                if let Some(wanted) = named(&push).and_then(|name| self.wanted(name)) {
                    let again = wanted.known.swap(true, Ordering::Relaxed);
                    wanted.on.send_replace(ear);
                    if again && let Some(listener) = self.listener.upgrade() {
                        listener.resumed(vec![wanted.topic.clone()]);
                    }
                }
            }
            // Asked for, or since the slot has moved to another server.
            PushKind::SUnsubscribe => {
                if let Some(wanted) = named(&push).and_then(|name| self.wanted(name))
                    && *wanted.on.borrow() == ear
                {
                    wanted.on.send_replace(0);
                    if let Some(name) = named(&push)
                        && let Some(ear) = self.ears().iter().find(|known| known.id == ear)
                    {
                        ear.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
                    }
                    self.servers.doubt();
                    self.wake.notify_one();
                }
            }
            _ => {}
        }
    }

    /// Listens to a server.
    async fn listen(self: &Arc<Self>, server: &Arc<Server>) -> redis::RedisResult<()> {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let closed = CancellationToken::new();
        let (me, lost) = (Arc::downgrade(self), closed.clone());
        let on_push = move |push: PushInfo| {
            if let Some(me) = me.upgrade() {
                me.pushed(id, &lost, push);
            }
            Ok(())
        };
        let connection = self.servers.connect(server, on_push).await?;
        let ear = Arc::new(Ear {
            id,
            server: Arc::clone(server),
            connection,
            closed: closed.clone(),
            tried: false.into(),
            asked: Mutex::default(),
            probe: Mutex::new((0, None)),
        });
        self.ears().push(ear);
        let me = Arc::downgrade(self);
        tokio::spawn(async move {
            closed.cancelled().await;
            if let Some(me) = me.upgrade() {
                me.wake.notify_one();
            }
        });
        Ok(())
    }

    /// Asks for a subscription, whose acknowledgement comes as a push. The first is waited for, to hear if the server
    /// refuses it.
    async fn ask(&self, ear: &Ear, name: &str) -> redis::RedisResult<()> {
        let mut command = redis::cmd("SSUBSCRIBE");
        let first = !ear.tried.swap(true, Ordering::Relaxed);
        command.arg(name).set_no_response(!first);
        let answer = ear.connection.clone().send_packed_command(&command).await?;
        if first {
            let refused = match answer {
                Value::ServerError(error) => Some(Unusable::from(RedisError::from(error))),
                _ => None,
            };
            self.servers.note(&format!("{} (Pub/Sub)", ear.server.place), refused);
        }
        Ok(())
    }

    /// Makes what is, what is wanted; how long until it has to be looked at again at the latest.
    async fn reconcile(self: &Arc<Self>, attempt: &mut u32) -> Duration {
        let map = self.servers.map();
        let servers = map.servers();
        let gone: Vec<_> = {
            let mut ears = self.ears();
            let is_gone = |ear: &Arc<Ear>| {
                ear.closed.is_cancelled() || !servers.iter().any(|server| Arc::ptr_eq(server, &ear.server))
            };
            let gone = ears.iter().filter(|ear| is_gone(ear)).map(|ear| ear.id).collect();
            ears.retain(|ear| !is_gone(ear));
            gone
        };
        if !gone.is_empty() {
            for wanted in self.wanted.read().unwrap_or_else(PoisonError::into_inner).values() {
                wanted.on.send_if_modified(|on| {
                    let lost = gone.contains(on);
                    if lost {
                        *on = 0;
                    }
                    lost
                });
            }
        }
        let mut failed = false;
        for server in &servers {
            let listened = self.ears().iter().any(|ear| Arc::ptr_eq(&ear.server, server));
            // A server that is no use for commands is none for listening: a replica that was a primary, say.
            if !listened && server.link().is_some() && self.listen(server).await.is_err() {
                failed = true;
            }
        }
        let mut asks: HashMap<u64, (Arc<Ear>, Vec<String>)> = HashMap::new();
        let mut waits = false;
        {
            let ears = self.ears();
            let all = self.wanted.read().unwrap_or_else(PoisonError::into_inner);
            for (name, wanted) in all.iter() {
                let Some(owner) = map.server(wanted.slot) else { continue };
                let Some(ear) = ears.iter().find(|ear| Arc::ptr_eq(&ear.server, owner)) else { continue };
                if *wanted.on.borrow() == ear.id {
                    continue;
                }
                waits = true;
                let mut asked = ear.asked.lock().unwrap_or_else(PoisonError::into_inner);
                let due = asked.get(name).is_none_or(|at| at.elapsed() >= ASK_AGAIN);
                if due {
                    asked.insert(name.clone(), Instant::now());
                    asks.entry(ear.id).or_insert_with(|| (Arc::clone(ear), Vec::new())).1.push(name.clone());
                }
            }
        }
        for (ear, names) in asks.into_values() {
            for name in names {
                if self.ask(&ear, &name).await.is_err() {
                    ear.closed.cancel();
                    failed = true;
                    break;
                }
            }
        }
        match failed {
            true => {
                *attempt += 1;
                pause(*attempt)
            }
            false => {
                *attempt = 0;
                if waits { ASK_AGAIN } else { Duration::from_secs(10) }
            }
        }
    }
}

fn named(push: &PushInfo) -> Option<&str> {
    match push.data.first() {
        Some(Value::BulkString(name)) => std::str::from_utf8(name).ok(),
        _ => None,
    }
}

/// Keeps subscriptions what they should be, until the store is dropped.
async fn keep(subscriptions: Weak<Subscriptions>) {
    let mut attempt = 0;
    loop {
        let (wait, wake, mut changes) = {
            let Some(subscriptions) = subscriptions.upgrade() else { return };
            let changes = subscriptions.servers.changed.subscribe();
            (subscriptions.reconcile(&mut attempt).await, Arc::clone(&subscriptions.wake), changes)
        };
        tokio::select! {
            () = wake.notified() => {}
            _ = changes.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}
