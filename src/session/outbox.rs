//! What a handler call sends, on its way into the store.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use sockhop_transports::Message;

use super::{SendError, Session};
use crate::store::{Kept, size_of};

/// The frames of one handle of a session. During a handler call they are collected, so that they can be written down
/// together with the call's end; before and after, each goes to the store at once.
#[derive(Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    /// Of a session that can be resumed: which attempt of its client has sent what is handled.
    pub(super) attempt: Option<u64>,
    /// Held while frames are written down: they must not overtake each other.
    flushing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// Whether a handler call is under way.
    collecting: bool,
    frames: Vec<Message>,
    bytes: usize,
    /// What the call has changed of its session.
    kept: Kept,
    /// Whoever runs the call, to be told that there are frames.
    waker: Option<Waker>,
}

/// Bytes that a call may collect: a larger burst is written down before the call goes on.
const MOST: usize = 64 * 1024;

impl Outbox {
    /// The outbox of a handler call.
    pub(super) fn collecting(attempt: Option<u64>) -> Self {
        let outbox = Self { attempt, ..Self::default() };
        outbox.lock().collecting = true;
        outbox
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn send(&self, session: &Session, messages: Vec<Message>) -> Result<(), SendError> {
        if session.is_over_here() {
            return Err(SendError::Over);
        }
        let weight = size_of(&messages);
        {
            let mut state = self.lock();
            if state.collecting && state.bytes + weight <= MOST {
                state.bytes += weight;
                state.frames.extend(messages);
                if let Some(waker) = state.waker.take() {
                    waker.wake();
                }
                return Ok(());
            }
        }
        let _flushing = self.flushing.lock().await;
        let mut frames = self.take();
        frames.extend(messages);
        session.push(frames).await
    }

    fn take(&self) -> Vec<Message> {
        let mut state = self.lock();
        state.bytes = 0;
        std::mem::take(&mut state.frames)
    }

    /// Writes down what was collected.
    pub(super) async fn flush(&self, session: &Session) -> Result<(), SendError> {
        let _flushing = self.flushing.lock().await;
        let frames = self.take();
        if frames.is_empty() { Ok(()) } else { session.push(frames).await }
    }

    /// Whether something was collected; if not, the task is woken when it is.
    pub(super) fn poll_collected(&self, cx: &Context<'_>) -> bool {
        let mut state = self.lock();
        if state.frames.is_empty() {
            state.waker = Some(cx.waker().clone());
        }
        !state.frames.is_empty()
    }

    /// Changes what is written down with the call's end.
    pub(super) fn keep(&self, change: impl FnOnce(&mut Kept)) {
        change(&mut self.lock().kept);
    }

    /// The call is over: what is left of it, and what it changed. What is sent from now on goes to the store at once.
    pub(super) async fn end(&self) -> (Vec<Message>, Kept) {
        let _flushing = self.flushing.lock().await;
        let frames = self.take();
        let mut state = self.lock();
        state.collecting = false;
        state.waker = None;
        (frames, std::mem::take(&mut state.kept))
    }
}
