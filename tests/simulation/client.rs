//! A client as the stock one is: it polls again when it has an answer, and sends one request after the other.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::sleep;

use crate::chaos::Life;
use crate::cluster::{Answer, Cluster};
use crate::oracle::{CHANNELS, Oracle};

/// How a client receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receives {
    Polls,
    Streams,
}

/// What a client has seen.
#[derive(Default)]
pub(crate) struct Account {
    opened: bool,
    /// A node died in the middle of what it wrote: the stock client gives up.
    cut: bool,
    /// Echoes of its own sends, and how many are due.
    echoes: u64,
    sent: u64,
    /// The newest number of each channel.
    newest: [Option<u64>; 2],
}

pub(crate) struct Client {
    pub(crate) name: String,
    receives: Receives,
    cluster: Rc<Cluster>,
    oracle: Arc<Oracle>,
    account: RefCell<Account>,
    random: RefCell<SmallRng>,
    /// Of a hundred answers, those that are lost before the balancer has a byte of them.
    lost_answers: u32,
}

impl Client {
    pub(crate) fn new(
        name: String,
        receives: Receives,
        cluster: &Rc<Cluster>,
        oracle: &Arc<Oracle>,
        seed: u64,
        lost_answers: u32,
    ) -> Rc<Self> {
        Rc::new(Self {
            name,
            receives,
            cluster: Rc::clone(cluster),
            oracle: Arc::clone(oracle),
            account: RefCell::default(),
            random: RefCell::new(SmallRng::seed_from_u64(seed)),
            lost_answers,
        })
    }

    fn losses(&self) -> u32 {
        u32::from(self.random.borrow_mut().random_range(0..100) < self.lost_answers)
    }

    /// Receives, until the session is cut.
    pub(crate) async fn receive(self: Rc<Self>) {
        while !self.account.borrow().cut {
            match self.receives {
                Receives::Polls => self.poll().await,
                Receives::Streams => self.stream().await,
            }
        }
    }

    async fn poll(&self) {
        let Answer { response, .. } =
            self.cluster.request(&format!("{0}/xhr?{0}", self.name), "", self.losses()).await;
        assert_eq!(response.status(), 200, "{}", self.name);
        let body = response.into_body().collect().await.expect("a poll's answer is whole").to_bytes();
        self.hear(std::str::from_utf8(&body).unwrap());
    }

    async fn stream(&self) {
        let path = format!("{0}/xhr_streaming?{0}", self.name);
        let Answer { response, chaos } = self.cluster.request(&path, "", 0).await;
        assert_eq!(response.status(), 200, "{}", self.name);
        let mut body = response.into_body();
        let mut life = chaos.life();
        loop {
            let written = async {
                let frame = body.frame().await;
                // A node that stands still writes nothing.
                let _ = chaos.life().wait_for(|life| *life == Life::Running).await;
                frame
            };
            let frame = tokio::select! {
                biased;
                _ = life.wait_for(|life| *life == Life::Dead) => None,
                frame = written => Some(frame),
            };
            match frame {
                Some(Some(Ok(frame))) => {
                    let frame = frame.into_data().unwrap();
                    if !frame.starts_with(b"hhh") {
                        self.hear(std::str::from_utf8(&frame).unwrap());
                    }
                }
                Some(None) => return,
                // Killed, or ended unfinished by a node that lost its lease: cut either way.
                None | Some(Some(Err(_))) => {
                    self.account.borrow_mut().cut = true;
                    return;
                }
            }
        }
    }

    fn hear(&self, frame: &str) {
        let frame = frame.strip_suffix('\n').expect("a frame ends with a line feed");
        match frame.split_at(1) {
            ("o", "") => {
                let opened = std::mem::replace(&mut self.account.borrow_mut().opened, true);
                assert!(!opened, "{} lost its session", self.name);
            }
            ("h", "") => {}
            ("a", messages) => {
                for message in serde_json::from_str::<Vec<String>>(messages).unwrap() {
                    self.take(&message);
                }
            }
            _ => panic!("{} was told {frame}", self.name),
        }
    }

    fn take(&self, message: &str) {
        let account = &mut *self.account.borrow_mut();
        let (what, number) = message.split_once(' ').unwrap();
        let number: u64 = number.parse().unwrap();
        let Some(channel) = CHANNELS.iter().position(|channel| *channel == what) else {
            assert_eq!((what, number), (self.name.as_str(), account.echoes + 1), "{}: echoes in order", self.name);
            account.echoes = number;
            return;
        };
        if let Some(newest) = account.newest[channel] {
            assert!(number > newest, "{} got {message} after {newest}", self.name);
            assert!(
                self.oracle.may_skip(channel, newest, number),
                "{} missed what is between {newest} and {message}",
                self.name
            );
        } else if let Some(due) = self.oracle.due(&self.name) {
            assert!(
                self.oracle.may_skip(channel, due[channel] - 1, number),
                "{} missed {due:?} before {message}",
                self.name
            );
        }
        account.newest[channel] = Some(number);
    }

    /// Sends now and then, until `count` are sent.
    pub(crate) async fn send(self: Rc<Self>, count: u64) {
        while !self.account.borrow().opened {
            sleep(Duration::from_millis(20)).await;
        }
        for number in 1..=count {
            let pause = self.random.borrow_mut().random_range(0..600);
            sleep(Duration::from_millis(pause)).await;
            if self.account.borrow().cut {
                return;
            }
            let body = format!("[\"{} {number}\"]", self.name);
            let path = format!("{}/xhr_send", self.name);
            let Answer { response, .. } = self.cluster.request(&path, &body, self.losses()).await;
            let account = &mut *self.account.borrow_mut();
            assert!(response.status() == 204 || account.cut, "{} {}: {}", self.name, number, response.status());
            if !account.cut {
                account.sent = number;
            }
        }
    }

    /// Whether it has all that it must have.
    pub(crate) fn is_served(&self) -> bool {
        self.account.borrow().cut || self.lacks().is_none()
    }

    /// What it lacks, if anything.
    pub(crate) fn lacks(&self) -> Option<String> {
        let account = self.account.borrow();
        if !account.opened {
            return Some(format!("{}: never opened", self.name));
        }
        if account.echoes < account.sent {
            return Some(format!("{}: {} of {} echoes", self.name, account.echoes, account.sent));
        }
        let Some(due) = self.oracle.due(&self.name) else {
            return Some(format!("{}: its on_open never ran to its end", self.name));
        };
        for (channel, due) in due.into_iter().enumerate() {
            let has = account.newest[channel].unwrap_or(due - 1);
            let all = self.oracle.begun(channel);
            if has < all && !self.oracle.may_skip(channel, has, all + 1) {
                return Some(format!("{}: {} up to {has} of {all}", self.name, CHANNELS[channel]));
            }
        }
        None
    }

    /// The final account, beyond what is asserted as it comes.
    pub(crate) fn settle(&self) {
        let account = self.account.borrow();
        if account.cut {
            assert!(self.receives == Receives::Streams, "{}: a poll is never cut", self.name);
            return;
        }
        for number in 1..=account.sent {
            let handled = self.oracle.handled(&format!("{} {number}", self.name));
            assert!(handled <= 1, "{} {number} was handled {handled} times by nodes that lived", self.name);
        }
        assert_eq!(self.oracle.closed(&self.name), 0, "{}: it is not over", self.name);
    }
}
