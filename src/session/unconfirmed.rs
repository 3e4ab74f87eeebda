//! How much a client that can resume was sent, and is not known to have.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;

use super::track::Tracked;
use crate::store::Retention;

/// What was handed out since the client was last asked whether it has all. As long as that is not known, it must stay
/// where it can be read again: so it is asked long before channels, or the session's own frames, come to their limits.
pub(super) struct Unconfirmed {
    entries: usize,
    bytes: usize,
    /// Since the first of them.
    timer: Option<Pin<Box<Sleep>>>,
    most_entries: usize,
    most_bytes: usize,
    most_time: Duration,
}

/// Time after which it is asked for what its service tracks.
const TRACKED_TIME: Duration = Duration::from_secs(3);
/// Bytes after which the client is asked.
const BYTES: usize = 64 * 1024;
/// Time after which it is: what a stream has brought since comes again when its connection is lost.
const TIME: Duration = Duration::from_secs(30);

impl Unconfirmed {
    pub(super) fn new(retention: &Retention, unread_limit: usize) -> Self {
        Self {
            entries: 0,
            bytes: 0,
            timer: None,
            most_entries: (retention.entries / 4).max(1),
            most_bytes: BYTES.min(retention.bytes / 4).min(unread_limit / 2).max(1),
            most_time: TIME.min(retention.age / 4),
        }
    }

    /// Of what its service tracks: half of a window may have gone out.
    pub(super) fn tracked() -> Self {
        Self {
            entries: 0,
            bytes: 0,
            timer: None,
            most_entries: usize::MAX,
            most_bytes: usize::MAX,
            most_time: TRACKED_TIME,
        }
    }

    pub(super) fn add_tracked(&mut self, tracked: Tracked) {
        self.most_entries = self.most_entries.min((tracked.window / 2).max(1));
        self.add(tracked.entries, 0);
    }

    pub(super) fn add(&mut self, entries: usize, bytes: usize) {
        if self.is_empty() {
            self.timer = Some(Box::pin(tokio::time::sleep(self.most_time)));
        }
        self.entries += entries;
        self.bytes += bytes;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The client was asked.
    pub(super) fn clear(&mut self) {
        (self.entries, self.bytes, self.timer) = (0, 0, None);
    }

    /// Ready when the client should be asked.
    pub(super) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.entries >= self.most_entries || self.bytes >= self.most_bytes {
            return Poll::Ready(());
        }
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn is_due(unconfirmed: &mut Unconfirmed) -> bool {
        unconfirmed.poll_due(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_a_window_or_a_few_seconds_make_it_due() {
        let mut tracked = Unconfirmed::tracked();
        tracked.add_tracked(Tracked { entries: 4, window: 10 });
        assert!(!is_due(&mut tracked));
        tracked.add_tracked(Tracked { entries: 1, window: 20 });
        assert!(is_due(&mut tracked));
        tracked.clear();
        tracked.add_tracked(Tracked { entries: 1, window: 10 });
        assert!(!is_due(&mut tracked));
        tokio::time::advance(TRACKED_TIME).await;
        assert!(is_due(&mut tracked));
    }

    #[tokio::test(start_paused = true)]
    async fn a_quarter_of_any_limit_makes_it_due() {
        let retention = Retention { entries: 40, bytes: 4000, age: Duration::from_secs(40) };
        let mut unconfirmed = Unconfirmed::new(&retention, 1_000_000);
        for (entries, bytes, seconds, due) in
            [(9, 9, 9, false), (10, 0, 0, true), (1, 1000, 0, true), (1, 1, 10, true), (1, 999, 9, false)]
        {
            unconfirmed.add(entries, bytes);
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert_eq!(is_due(&mut unconfirmed), due, "{entries} entries, {bytes} bytes, {seconds} s");
            unconfirmed.clear();
            assert!(!is_due(&mut unconfirmed));
        }
    }
}
