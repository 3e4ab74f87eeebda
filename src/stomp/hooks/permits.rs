//! How many calls are under way at once, and how many wait.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// Leave to call.
#[derive(Debug)]
pub(super) struct Permits {
    calls: Semaphore,
    waiting: AtomicUsize,
    most_waiting: usize,
}

impl Permits {
    pub(super) fn new(calls: usize, most_waiting: usize) -> Self {
        Self {
            calls: Semaphore::new(calls.min(Semaphore::MAX_PERMITS)),
            waiting: AtomicUsize::new(0),
            most_waiting,
        }
    }

    /// Waits for leave, if not too many do, and not longer than until `deadline`.
    pub(super) async fn wait(&self, deadline: Instant) -> Option<SemaphorePermit<'_>> {
        if let Ok(permit) = self.calls.try_acquire() {
            return Some(permit);
        }
        let _waiting = Waiting::begin(&self.waiting, self.most_waiting)?;
        tokio::time::timeout_at(deadline, self.calls.acquire()).await.ok()?.ok()
    }
}

/// One that waits, until it is dropped.
pub(super) struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    /// Counts one that waits, if there is room.
    pub(super) fn begin(count: &'a AtomicUsize, most: usize) -> Option<Self> {
        let before = count.fetch_add(1, Ordering::Relaxed);
        let this = Self(count);
        (before < most).then_some(this)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn some_wait_and_the_others_are_sent_away() {
        let permits = Permits::new(1, 1);
        let in_a_second = || Instant::now() + Duration::from_secs(1);
        let first = permits.wait(in_a_second()).await.unwrap();
        let (second, third) = tokio::join!(permits.wait(in_a_second()), permits.wait(in_a_second()));
        assert!(second.is_none() && third.is_none(), "nobody was done");
        let waits = async {
            let second = permits.wait(in_a_second()).await;
            assert!(second.is_some());
        };
        let done = async {
            assert!(permits.wait(in_a_second()).await.is_none(), "too many wait");
            drop(first);
        };
        tokio::join!(waits, done);
    }
}
