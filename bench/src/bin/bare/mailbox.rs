//! The channel between a send request and the receiving request of the same id.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

/// Frames of one id, and who waits for them. It allocates nothing until a frame comes.
#[derive(Default)]
pub(crate) struct Mailbox(Mutex<State>);

#[derive(Default)]
struct State {
    frames: VecDeque<Bytes>,
    waiting: Option<Waker>,
}

impl Mailbox {
    /// Adds a frame and wakes the receiver.
    pub(crate) fn push(&self, frame: Bytes) {
        let mut state = locked(&self.0);
        state.frames.push_back(frame);
        let waiting = state.waiting.take();
        drop(state);
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// The oldest frame; without one, the caller is woken by the next push.
    pub(crate) fn poll_pop(&self, context: &mut Context<'_>) -> Poll<Bytes> {
        let mut state = locked(&self.0);
        match state.frames.pop_front() {
            Some(frame) => Poll::Ready(frame),
            None => {
                state.waiting = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// All mailboxes by id: the whole session logic of the bare servers.
#[derive(Clone, Default)]
pub(crate) struct Mailboxes(Arc<Mutex<HashMap<Box<str>, Arc<Mailbox>>>>);

impl Mailboxes {
    /// The mailbox of `id`, if a receiving request has made one.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Mailbox>> {
        locked(&self.0).get(id).cloned()
    }

    /// The mailbox of `id`; a new one starts with `greeting` in it.
    pub(crate) fn find_or_open(&self, id: &str, greeting: &'static [u8]) -> Arc<Mailbox> {
        self.find(id).unwrap_or_else(|| {
            let mailbox = Arc::<Mailbox>::default();
            mailbox.push(Bytes::from_static(greeting));
            locked(&self.0).insert(id.into(), mailbox.clone());
            mailbox
        })
    }
}

/// No code that could panic runs under these locks.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn a_new_mailbox_holds_the_greeting_and_then_what_is_pushed() {
        let mailboxes = Mailboxes::default();
        let mailbox = mailboxes.find_or_open("a", b"o\n");
        mailboxes.find("a").unwrap().push(Bytes::from_static(b"x"));
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(mailbox.poll_pop(&mut context), Poll::Ready(Bytes::from_static(b"o\n")));
        assert_eq!(mailbox.poll_pop(&mut context), Poll::Ready(Bytes::from_static(b"x")));
        assert_eq!(mailbox.poll_pop(&mut context), Poll::Pending);
        assert!(mailboxes.find("b").is_none());
    }
}
