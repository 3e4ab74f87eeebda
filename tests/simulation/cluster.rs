//! Three nodes on one store, and a balancer before them that sends each request to another.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Request, Response};
use http_body_util::Full;
use sockhop::store::{MemoryStore, Store};
use sockhop::{Body, Node, Service};
use tokio::time::sleep;

use crate::chaos::{Chaos, Life, Way, Weather};
use crate::ends::Ends;
use crate::oracle::{Ledger, Oracle};

/// How long a node may be silent before the others take it for dead.
pub(crate) const LEASE: Duration = Duration::from_secs(3);
/// What nodes compare once in a while, though nothing seems wrong.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How often the balancer tries a request.
const ATTEMPTS: u32 = 1000;
/// Bytes after which a stream ends and its client opens the next.
const RESPONSE_LIMIT: usize = 600;

pub(crate) struct Cluster {
    base: Arc<dyn Store>,
    ends: Arc<Ends>,
    oracle: Arc<Oracle>,
    seed: u64,
    weather: Cell<Weather>,
    places: [RefCell<Option<Place>>; 3],
    turn: Cell<usize>,
    requests: Cell<u64>,
    born: Cell<u64>,
}

/// One running node.
#[derive(Clone)]
struct Place {
    chaos: Arc<Chaos>,
    node: Node,
    service: Service,
    guests: Service,
}

/// A response, and the life of the node that gave it.
pub(crate) struct Answer {
    pub(crate) response: Response<Body>,
    pub(crate) chaos: Arc<Chaos>,
}

impl Cluster {
    pub(crate) fn start(oracle: &Arc<Oracle>, seed: u64, weather: Weather) -> Rc<Self> {
        let cluster = Rc::new(Self {
            base: Arc::new(MemoryStore::new()),
            ends: Arc::default(),
            oracle: Arc::clone(oracle),
            seed,
            weather: Cell::new(weather),
            places: [const { RefCell::new(None) }; 3],
            turn: Cell::new(0),
            requests: Cell::new(0),
            born: Cell::new(0),
        });
        (0..3).for_each(|place| cluster.begin(place));
        let beating = Rc::downgrade(&cluster);
        tokio::task::spawn_local(async move {
            while let Some(cluster) = beating.upgrade() {
                for place in &cluster.places {
                    let running = place.borrow().clone();
                    if let Some(place) = running.filter(|place| *place.chaos.life().borrow() == Life::Running) {
                        place.chaos.heartbeat().await;
                    }
                }
                drop(cluster);
                sleep(HEARTBEAT).await;
            }
        });
        cluster
    }

    /// A new node at a place.
    fn begin(&self, place: usize) {
        self.born.set(self.born.get() + 1);
        let chaos = Chaos::new(&self.base, &self.ends, self.seed ^ self.born.get(), self.weather.get());
        let store: Arc<dyn Store> = Arc::new(Way(Arc::clone(&chaos)));
        let node = Node::builder().store(store).build();
        self.oracle.joined(node.id(), &chaos);
        let ledger = Ledger { node: node.clone(), oracle: Arc::clone(&self.oracle) };
        let service = Service::builder("/s", ledger)
            .heartbeat(Duration::from_secs(5))
            .disconnect_delay(Duration::from_secs(20))
            .response_limit(RESPONSE_LIMIT)
            .request_id_header(Some(HeaderName::from_static("x-request-id")))
            .build(&node);
        let guests = crate::guest::service(&node, &self.oracle).build(&node);
        *self.places[place].borrow_mut() = Some(Place { chaos, node, service, guests });
    }

    fn place(&self, place: usize) -> Option<Place> {
        self.places[place].borrow().clone()
    }

    /// Some node that runs.
    pub(crate) async fn any(&self) -> Node {
        self.pick().await.node
    }

    /// The service for guests of some node that runs.
    pub(crate) async fn guests(&self) -> (Service, Arc<Chaos>) {
        let Place { chaos, guests, .. } = self.pick().await;
        (guests, chaos)
    }

    /// The store as it is, without anything in between.
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.base
    }

    async fn pick(&self) -> Place {
        loop {
            for _ in 0..self.places.len() {
                self.turn.set((self.turn.get() + 1) % self.places.len());
                if let Some(place) = self.place(self.turn.get()) {
                    return place;
                }
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Kills a node; the others count it as dead after its lease, and another takes its place.
    pub(crate) async fn kill(self: &Rc<Self>, place: usize, pause: Duration) {
        let Some(killed) = self.places[place].borrow_mut().take() else { return };
        killed.chaos.become_(Life::Dead);
        self.oracle.died(killed.node.id());
        let cluster = Rc::clone(self);
        tokio::task::spawn_local(async move {
            // Also of what its last commands took for it, which come late.
            for _ in 0..20 {
                sleep(LEASE).await;
                cluster.base.leave(killed.node.id()).await;
                cluster.ends.died(killed.node.id());
            }
        });
        sleep(pause).await;
        self.begin(place);
    }

    /// Stops a node for a while, and lets it go on: too late, if that was longer than its lease.
    pub(crate) async fn stop(&self, place: usize, pause: Duration) {
        let Some(stopped) = self.place(place) else { return };
        stopped.chaos.become_(Life::Stopped);
        if pause > LEASE {
            sleep(LEASE).await;
            self.base.leave(stopped.node.id()).await;
            self.ends.died(stopped.node.id());
            self.oracle.died(stopped.node.id());
            sleep(pause - LEASE).await;
            // It joins again with its next renewal, but first ends what it held.
            stopped.chaos.become_(Life::Running);
            stopped.chaos.lapse();
            stopped.chaos.rejoin(stopped.node.id()).await;
        } else {
            sleep(pause).await;
            stopped.chaos.become_(Life::Running);
        }
    }

    /// Ends a node in order, and puts another in its place.
    pub(crate) async fn drain(&self, place: usize) {
        // A refused connection is tried elsewhere.
        let Some(drained) = self.places[place].borrow_mut().take() else { return };

        let report = drained.node.drain(Duration::from_secs(60)).await;
        if *drained.chaos.life().borrow() == Life::Running {
            assert_eq!(report.cut, 0, "a drain in which nothing else happens finishes");
        }
        self.begin(place);
    }

    pub(crate) fn calm(&self) {
        self.weather.set(Weather::CALM);
        for place in &self.places {
            if let Some(place) = &*place.borrow() {
                place.chaos.calm();
            }
        }
    }

    /// Sends a request to a node; to another as long as no byte of an answer came. `lost` says how often the answer is
    /// lost on its way to the balancer.
    pub(crate) async fn request(&self, path: &str, body: &str, mut lost: u32) -> Answer {
        self.requests.set(self.requests.get() + 1);
        let id = self.requests.get();
        for _ in 0..ATTEMPTS {
            let Place { chaos, service, .. } = self.pick().await;
            // Also the network takes its time.
            sleep(Duration::from_micros(500)).await;
            let request = Request::post(format!("/s/0/{path}"))
                .header("x-request-id", id)
                .body(Full::new(bytes::Bytes::from(body.to_owned())))
                .unwrap();
            let mut life = chaos.life();
            let answered = async {
                let answer = service.respond(request).await;
                // A node that stands still writes nothing.
                let _ = chaos.life().wait_for(|life| *life == Life::Running).await;
                answer
            };
            tokio::select! {
                biased;
                _ = life.wait_for(|life| *life == Life::Dead) => {}
                answer = answered => match answer {
                    Ok(_) if lost > 0 => lost -= 1,
                    Ok(response) => return Answer { response, chaos },
                    Err(sockhop::Unwritten) => {}
                },
            }
        }
        panic!("no node answers {path}");
    }
}
