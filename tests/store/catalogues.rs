//! Catalogues of channel names, and subscriptions that entries of others lead to.

use std::time::Duration;

use sockhop::Message;
use sockhop::store::{Branch, Branched, Enlist, Enlisted, Epoch, Feed, Gone, Pending, Position, Retention};

use crate::world::{World, channel};

/// Long enough for whatever a test does.
const LONG: Duration = Duration::from_secs(3600);

async fn enlist(world: &World, name: &str, most: usize, life: Duration, incomplete: Duration) -> Enlisted {
    let (catalogue, name) = (channel("names"), channel(name));
    let (news, full) = (Message::new(&format!("new {name}")), Message::new("full"));
    let retention = Retention::default();
    let (catalogue, name, news, full) = (&catalogue, &name, &news, &full);
    world.store.enlist(Enlist { catalogue, name, news, full, most, life, incomplete, retention }).await.unwrap()
}

async fn names(world: &World) -> (Vec<String>, bool) {
    let listed = world.store.listed(&channel("names")).await.unwrap();
    let mut names: Vec<_> = listed.names.iter().map(ToString::to_string).collect();
    names.sort();
    (names, listed.complete)
}

pub(crate) async fn a_name_is_told_once_and_listed_with_where_the_news_go_on(world: World) {
    let store = &world.store;
    let node = world.join();
    let empty = store.listed(&channel("names")).await.unwrap();
    assert!(empty.names.is_empty() && empty.complete);
    store.follow(node.id, &channel("names")).await.unwrap();
    let first = enlist(&world, "a", 10, LONG, LONG).await;
    let again = enlist(&world, "a", 10, LONG, LONG).await;
    let second = enlist(&world, "b {odd} ü", 10, LONG, LONG).await;
    assert_eq!((first.at.seq, again.at.seq, second.at.seq), (1, 1, 2));
    assert_eq!(first.at.epoch, empty.at.epoch);
    assert!(first.entered && again.entered && second.entered);
    assert_eq!(node.heard(2).await, [("new a".to_owned(), 1), ("new b {odd} ü".to_owned(), 2)]);
    let listed = store.listed(&channel("names")).await.unwrap();
    assert_eq!(listed.at, second.at);
    assert_eq!(names(&world).await, (vec!["a".to_owned(), "b {odd} ü".to_owned()], true));
    let news = store.read(&channel("names"), empty.at, 1 << 20).await.unwrap();
    assert_eq!((news.entries.len(), news.gap), (2, false));
}

pub(crate) async fn a_full_catalogue_says_so_once_until_there_was_room_for_a_while(world: World) {
    let short = world.delay / 4;
    for name in ["a", "b"] {
        assert!(enlist(&world, name, 2, LONG, short).await.entered);
    }
    for (name, entered, seq) in [("c", false, 3), ("d", false, 3), ("a", true, 3)] {
        let enlisted = enlist(&world, name, 2, LONG, short).await;
        assert_eq!((enlisted.entered, enlisted.at.seq), (entered, seq), "{name}");
    }
    assert_eq!(names(&world).await, (vec!["a".to_owned(), "b".to_owned()], false));
    tokio::time::sleep(short + world.moment).await;
    assert!(names(&world).await.1, "nobody was refused for a while");
    assert_eq!(enlist(&world, "c", 2, LONG, short).await.at.seq, 4, "told again");
    let start = Position { seq: 2, ..world.store.listed(&channel("names")).await.unwrap().at };
    let news = world.store.read(&channel("names"), start, 1 << 20).await.unwrap();
    assert!(news.entries.iter().all(|entry| entry.message.text() == "full"), "{news:?}");
}

pub(crate) async fn names_that_nobody_enlists_again_make_room(world: World) {
    let life = world.delay / 2;
    enlist(&world, "kept", 2, life, LONG).await;
    enlist(&world, "left", 2, life, LONG).await;
    tokio::time::sleep(life / 2).await;
    enlist(&world, "kept", 2, life, LONG).await;
    tokio::time::sleep(life / 2 + world.moment).await;
    assert_eq!(names(&world).await.0, ["kept"]);
    let back = enlist(&world, "left", 2, life, LONG).await;
    assert_eq!((back.entered, back.at.seq), (true, 3), "told again, as it is new again");
}

fn tagged(name: &str, tag: &str) -> Feed {
    Feed { channel: channel(name), tag: Some(tag.into()) }
}

fn feeds(pending: &Pending) -> Vec<String> {
    let text = |feed: &Feed| format!("{} {}", feed.channel, feed.tag.as_deref().unwrap_or_default());
    let mut feeds: Vec<_> = pending.subscriptions.iter().map(|found| text(&found.feed)).collect();
    feeds.sort();
    feeds
}

pub(crate) async fn an_entry_leads_to_a_subscription_as_long_as_its_own_is_there(world: World) {
    let store = &world.store;
    let node = world.join();
    let session = node.opened("s").await;
    let at = |seq| Position { epoch: Epoch(1), seq };
    let stem = tagged("names", "*");
    store.subscribe(session, &stem, at(0), 3).await.unwrap();
    let (hold, pending) = node.attach("s", None).await;
    let generation = pending.subscriptions[0].generation;
    let branch = async |name: &str, generation| {
        let feed = tagged(name, "t");
        store.branch(hold, Branch { stem: (&stem, generation), feed: &feed, at: at(7) }, 3).await
    };
    for (name, outcome) in [("a", Branched::Done), ("b", Branched::Done), ("a", Branched::Done)] {
        assert_eq!(branch(name, generation).await, Ok(outcome), "{name}");
    }
    assert_eq!(branch("c", generation).await, Ok(Branched::TooMany));
    let pending = store.pending(hold, sockhop::store::Own(1)).await.unwrap();
    assert_eq!(feeds(&pending), ["a t", "b t", "names *"]);
    assert!(pending.subscriptions.iter().filter(|found| found.feed != stem).all(|found| found.cursor == at(7)));
    store.unsubscribe(session, &stem).await.unwrap();
    store.subscribe(session, &stem, at(0), 9).await.unwrap();
    assert_eq!(branch("c", generation).await, Ok(Branched::Done), "of one that has ended");
    assert_eq!(feeds(&store.pending(hold, sockhop::store::Own(1)).await.unwrap()), ["a t", "b t", "names *"]);
    store.unsubscribe_tag(session, "t").await.unwrap();
    assert_eq!(feeds(&store.pending(hold, sockhop::store::Own(1)).await.unwrap()), ["names *"]);
    store.release(hold, crate::world::sent(1)).await.unwrap();
    assert_eq!(branch("c", generation).await, Err(Gone::Fenced), "of a receiver that has left");
    let (hold, _) = node.attach("s", None).await;
    store.close(session, crate::world::reason()).await.unwrap();
    let branch = Branch { stem: (&stem, generation + 3), feed: &tagged("d", "t"), at: at(7) };
    assert_eq!(store.branch(hold, branch, 9).await, Err(Gone::Over));
}
