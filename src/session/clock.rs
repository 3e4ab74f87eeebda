//! What a receiver does in time: the service's own signs of life, and the session's end.

use std::pin::Pin;
use std::task::Context;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sockhop_transports::Message;
use tokio::time::{Instant, Sleep};

use crate::store::Terms;

/// The terms of a session, watched by its receiver. Without terms it costs nothing.
#[derive(Default)]
pub(super) struct Clock(Option<Box<Running>>);

struct Running {
    terms: Terms,
    /// How long the client may be silent.
    patience: Option<Duration>,
    /// When something last went to the client.
    spoke: Instant,
    /// When the session ends.
    end: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// A sign of life.
    Beat,
    /// The session's end.
    End,
    /// The session's end, since its client is silent.
    Silence,
}

impl Clock {
    /// What holds from now on, and how long the client may be silent.
    pub(super) fn set(&mut self, terms: Terms, patience: Option<Duration>) {
        let known = self.0.as_ref().map_or_else(Default::default, |running| (running.terms, running.patience));
        if known == (terms, patience) {
            return;
        }
        let now = Instant::now();
        let end = terms.until.map(|until| now + left_until(until));
        let timer = Box::pin(tokio::time::sleep_until(now));
        let nothing = terms == Terms::default() && patience.is_none();
        self.0 = (!nothing).then(|| Box::new(Running { terms, patience, spoke: now, end, timer }));
    }

    /// Something goes to the client.
    pub(super) fn spoke(&mut self) {
        if let Some(running) = &mut self.0 {
            running.spoke = Instant::now();
        }
    }

    /// What is due, for a client that was last heard then; if nothing is, the task is woken when something will be.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, heard: Instant) -> Due {
        let Some(running) = &mut self.0 else { return Due::Nothing };
        while running.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
            let beat = running.terms.beat.map(|beat| running.spoke + beat);
            let silence = running.patience.map(|patience| heard + patience);
            if is_due(running.end) {
                return Due::End;
            }
            if is_due(silence) {
                return Due::Silence;
            }
            if is_due(beat) {
                running.spoke = now;
                return Due::Beat;
            }
            let Some(next) = beat.into_iter().chain(running.end).chain(silence).min() else { break };
            running.timer.as_mut().reset(next);
        }
        Due::Nothing
    }
}

/// The sign of life: a line feed, as STOMP has it.
pub(super) fn beat() -> Message {
    Message::new("\n")
}

/// How long it is until an instant in seconds since 1970.
fn left_until(until: u64) -> Duration {
    (UNIX_EPOCH + Duration::from_secs(until.min(1 << 40))).duration_since(SystemTime::now()).unwrap_or_default()
}
