//! Looking up entries anywhere in a channel, page by page.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sockhop::store::{Epoch, Excerpt, Position, Publish, Retention, Span, Store};
use sockhop::{ChannelName, Message};

use crate::world::{World, channel, publish, publish_to};

const ALL: usize = 1 << 24;

fn seqs(excerpt: &Excerpt) -> Vec<u64> {
    excerpt.entries.iter().map(|entry| entry.seq).collect()
}

/// Publishes messages that say their seq, so many at a time.
async fn publish_numbered(
    store: &Arc<dyn Store>,
    channel: &ChannelName,
    sizes: &[u64],
    keep: Retention,
) -> Position {
    let mut last = store.heads(std::slice::from_ref(channel)).await.unwrap()[0];
    for size in sizes {
        let next = last.seq + 1;
        let messages: Vec<_> = (next..next + size).map(|seq| Message::new(&seq.to_string())).collect();
        let publish = Publish { channel, messages: &messages, retention: keep, batch: None };
        last = store.publish(publish).await.unwrap().last;
    }
    last
}

fn assert_sound(excerpt: &Excerpt) {
    for entry in &excerpt.entries {
        assert_eq!(entry.message.text(), entry.seq.to_string());
    }
    assert!(excerpt.entries.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq), "{excerpt:?}");
}

pub(crate) async fn pages_lead_both_ways_through_all_that_is_kept(world: World) {
    let store = &world.store;
    for (name, sizes) in [
        ("single", vec![1; 100]),
        ("growing", (1..=20).collect()),
        ("one large, then single", [vec![150], vec![1; 60]].concat()),
        ("single, then one large", [vec![1; 60], vec![150]].concat()),
        ("uneven", vec![1, 90, 1, 1, 1, 90, 3, 1]),
    ] {
        let channel = channel(name);
        let last = publish_numbered(store, &channel, &sizes, Retention::default()).await;
        for most in [1, 7, 50, 1000] {
            let mut page = store.excerpt(&channel, Span::Newest, most, ALL).await.unwrap();
            let mut back = Vec::new();
            while !page.entries.is_empty() {
                assert_sound(&page);
                assert_eq!((page.oldest, page.newest, page.gap), (1, last.seq, false));
                assert!(page.entries.len() <= most);
                back.splice(0..0, seqs(&page));
                let before = Position { seq: page.entries[0].seq, ..last };
                page = store.excerpt(&channel, Span::Before(before), most, ALL).await.unwrap();
            }
            assert!(back.into_iter().eq(1..=last.seq), "{name}, {most} at a time, back");
            let mut page = store.excerpt(&channel, Span::Oldest, most, ALL).await.unwrap();
            let mut forth = Vec::new();
            while !page.entries.is_empty() {
                assert_sound(&page);
                assert!(page.entries.len() <= most && !page.gap);
                forth.extend(seqs(&page));
                let after = Position { seq: *forth.last().unwrap(), ..last };
                page = store.excerpt(&channel, Span::After(after), most, ALL).await.unwrap();
            }
            assert!(forth.into_iter().eq(1..=last.seq), "{name}, {most} at a time, forth");
        }
        for seq in 1..=last.seq {
            let at = Position { seq, ..last };
            let before = store.excerpt(&channel, Span::Before(at), 3, ALL).await.unwrap();
            assert!(seqs(&before).into_iter().eq(seq.saturating_sub(3).max(1)..seq), "{name} before {seq}");
            let after = store.excerpt(&channel, Span::After(at), 3, ALL).await.unwrap();
            assert!(seqs(&after).into_iter().eq(seq + 1..=last.seq.min(seq + 3)), "{name} after {seq}");
        }
    }
}

pub(crate) async fn a_page_is_bounded_but_has_at_least_one_entry(world: World) {
    let store = &world.store;
    let channel = channel("c");
    let last = publish_numbered(store, &channel, &[5, 1, 1, 1], Retention::default()).await;
    let weight = Message::new("1").weight();
    for (bytes, most) in [(0, 1), (1, 1), (2 * weight, 2), (2 * weight + 1, 2)] {
        for (span, first) in [
            (Span::Newest, last.seq + 1 - most),
            (Span::Before(Position { seq: 5, ..last }), 5 - most),
            (Span::Oldest, 1),
            (Span::After(Position { seq: 6, ..last }), 7),
        ] {
            let page = store.excerpt(&channel, span, 100, bytes).await.unwrap();
            assert!(seqs(&page).into_iter().eq(first..first + most), "{span:?} of {bytes} bytes: {page:?}");
        }
    }
}

pub(crate) async fn pages_show_each_entry_once_while_entries_arrive(world: World) {
    const COUNT: u64 = 300;
    let store = &world.store;
    let channel = channel("c");
    let start = publish_numbered(store, &channel, &[40], Retention::default()).await;
    let publisher = tokio::spawn({
        let (store, channel) = (Arc::clone(store), channel.clone());
        async move {
            for seq in start.seq + 1..=COUNT {
                publish_to(&store, &channel, &seq.to_string()).await;
                tokio::task::yield_now().await;
            }
        }
    });
    // Back to the first, again and again, while it grows; and forth to the last.
    let (mut forth, mut begun) = (Vec::new(), 0);
    while forth.len() < COUNT as usize {
        let after = Position { seq: forth.len() as u64, ..start };
        let page = store.excerpt(&channel, Span::After(after), 9, ALL).await.unwrap();
        assert_sound(&page);
        forth.extend(seqs(&page));
        let (mut back, mut page) = (Vec::new(), store.excerpt(&channel, Span::Newest, 50, ALL).await.unwrap());
        let newest = page.newest;
        while let Some(first) = page.entries.first() {
            assert_sound(&page);
            back.splice(0..0, seqs(&page));
            let before = Position { seq: first.seq, ..start };
            page = store.excerpt(&channel, Span::Before(before), 50, ALL).await.unwrap();
        }
        assert!(back.into_iter().eq(1..=newest), "back from {newest}");
        begun += 1;
        tokio::task::yield_now().await;
    }
    publisher.await.unwrap();
    assert!(begun > 10 && forth.into_iter().eq(1..=COUNT));
}

pub(crate) async fn a_page_next_to_what_is_not_kept_any_more_is_told(world: World) {
    let store = &world.store;
    let channel = channel("c");
    let keep = Retention { entries: 10, ..Retention::default() };
    let last = publish_numbered(store, &channel, &[1; 30], keep).await;
    let at = |seq| Position { seq, ..last };
    for (span, gap, expected) in [
        (Span::Newest, false, 21..31),
        (Span::Oldest, false, 21..31),
        (Span::Before(at(25)), false, 21..25),
        (Span::Before(at(22)), false, 21..22),
        // What stood before it was kept when its page was read, and is not now.
        (Span::Before(at(21)), true, 0..0),
        (Span::Before(at(5)), true, 0..0),
        (Span::After(at(20)), false, 21..31),
        (Span::After(at(19)), true, 0..0),
        (Span::After(at(0)), true, 0..0),
        (Span::After(at(30)), false, 0..0),
        // Nothing ever stood before the first.
        (Span::Before(at(1)), false, 0..0),
    ] {
        let page = store.excerpt(&channel, span, 100, ALL).await.unwrap();
        assert_eq!((page.gap, page.oldest, page.newest), (gap, 21, 30), "{span:?}");
        assert!(seqs(&page).into_iter().eq(expected), "{span:?}: {page:?}");
    }
}

pub(crate) async fn a_page_of_another_life_or_of_the_future_is_told(world: World) {
    let store = &world.store;
    let last = publish(store, "c", "a").await;
    let other = Position { epoch: Epoch(last.epoch.0 ^ 1), ..last };
    for span in [
        Span::Before(other),
        Span::After(other),
        Span::Before(Position { seq: 3, ..last }),
        Span::After(Position { seq: 2, ..last }),
    ] {
        let page = store.excerpt(&channel("c"), span, 10, ALL).await.unwrap();
        assert!(page.gap && page.entries.is_empty(), "{span:?}: {page:?}");
    }
    let page = store.excerpt(&channel("c"), Span::Before(Position { seq: 2, ..last }), 10, ALL).await.unwrap();
    assert_eq!((seqs(&page), page.gap), (vec![1], false));
}

pub(crate) async fn a_channel_that_has_never_been_has_an_empty_page_and_stays_unknown(world: World) {
    let store = &world.store;
    for _ in 0..2 {
        for span in [Span::Newest, Span::Oldest] {
            let page = store.excerpt(&channel("c"), span, 10, ALL).await.unwrap();
            assert_eq!((page.epoch, page.entries.len(), page.gap), (Epoch(0), 0, false));
            assert_eq!((page.oldest, page.newest), (1, 0));
        }
        let after = Position { epoch: Epoch(0), seq: 0 };
        assert!(store.excerpt(&channel("c"), Span::After(after), 10, ALL).await.unwrap().gap);
    }
}

pub(crate) async fn entries_know_when_they_were_accepted(world: World) {
    let store = &world.store;
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let (follower, before) = (world.join(), now());
    store.follow(follower.id, &channel("c")).await.unwrap();
    let position = publish(store, "c", "1").await;
    follower.heard(1).await;
    let start = Position { seq: 0, ..position };
    let read = store.read(&channel("c"), start, ALL).await.unwrap().entries[0].at;
    let page = store.excerpt(&channel("c"), Span::Newest, 1, ALL).await.unwrap().entries[0].at;
    // Servers of tests are on this machine, and have its clock; of it they tell whole milliseconds.
    let accepted = Duration::from_millis(page);
    assert!(before - Duration::from_millis(1) <= accepted && accepted <= now(), "{accepted:?} after {before:?}");
    assert_eq!(read, page);
}
