//! Rosters: who is somewhere, and what is told of it.

use std::time::{Duration, SystemTime};

use sockhop::store::{
    Entered, Here, Left, Position, Retention, Roster, SessionRef, Stay, Store, Telling, Visitor,
};
use sockhop::{ChannelName, Message};

use crate::world::{World, channel, key};

/// A stay of a session.
pub(crate) fn stay(session: &str, number: u64) -> Stay {
    let life = session.bytes().fold(7, |life: u64, byte| life * 131 + u64::from(byte));
    Stay { session: SessionRef { key: key(session), life }, number }
}

pub(crate) fn telling(channel: &ChannelName) -> Roster<'_> {
    Roster { channel, telling: Some(Telling { lead: "kind:\"roster\"\n\n", retention: Retention::default() }) }
}

/// A session enters, as a user or for itself.
pub(crate) async fn enter(store: &dyn Store, room: &str, stay: Stay, user: Option<&str>) -> Entered {
    let about = match user {
        Some(user) => format!("\"user\":{}", serde_json::to_string(user).unwrap()),
        None => format!("\"session\":\"{:x}\"", stay.number),
    };
    let visitor = Visitor { user, about: &about };
    store.enter(telling(&channel(room)), stay, visitor).await.unwrap()
}

pub(crate) async fn exit(store: &dyn Store, room: &str, stay: Stay) -> Left {
    store.exit(telling(&channel(room)), stay).await.unwrap()
}

/// All members, page by page: what is told of each, and how many sessions it has.
pub(crate) async fn all(store: &dyn Store, room: &str, most: usize) -> (u64, Vec<(String, u64)>) {
    let mut members = Vec::new();
    let mut after = None;
    loop {
        let Here { count, members: some, next, .. } =
            store.here(&channel(room), after.as_ref(), most).await.unwrap();
        assert!(some.len() <= most);
        members.extend(some.into_iter().map(|member| (member.about, member.sessions)));
        match next {
            Some(next) => after = Some(next),
            None => return (count, members),
        }
    }
}

/// What the channel tells from a position on: kind, who, count.
pub(crate) async fn told(store: &dyn Store, room: &str, after: Position) -> Vec<(String, String, u64)> {
    let slice = store.read(&channel(room), after, 1 << 20).await.unwrap();
    assert!(!slice.gap);
    slice.entries.iter().map(|entry| read(&entry.message)).collect()
}

fn read(message: &Message) -> (String, String, u64) {
    let event = message.text().strip_prefix("kind:\"roster\"\n\n").expect("the lead");
    let event: serde_json::Value = serde_json::from_str(event).expect("JSON");
    let at = humantime::parse_rfc3339(event["at"].as_str().unwrap()).expect("an instant");
    let far = SystemTime::now().duration_since(at).unwrap_or_else(|ahead| ahead.duration());
    assert!(far < Duration::from_secs(300), "{event}");
    let who = event.get("user").or(event.get("session")).and_then(|who| who.as_str()).expect("who");
    (event["type"].as_str().unwrap().to_owned(), who.to_owned(), event["count"].as_u64().unwrap())
}

fn event(kind: &str, who: &str, count: u64) -> (String, String, u64) {
    (kind.to_owned(), who.to_owned(), count)
}

pub(crate) async fn a_user_with_two_sessions_is_one_member_and_told_of_once(world: World) {
    let store = &*world.store;
    let start = store.here(&channel("r"), None, 10).await.unwrap();
    assert_eq!((start.count, start.members.len()), (0, 0));
    let (first, second) = (stay("a", 1), stay("b", 2));
    assert_eq!(enter(store, "r", first, Some("ann")).await, Entered::Joined);
    assert_eq!(enter(store, "r", second, Some("ann")).await, Entered::Present);
    assert_eq!(enter(store, "r", first, Some("ann")).await, Entered::Present, "again");
    assert_eq!(all(store, "r", 10).await, (1, vec![("\"user\":\"ann\"".to_owned(), 2)]));
    assert_eq!(exit(store, "r", first).await, Left::Present);
    assert_eq!(exit(store, "r", first).await, Left::Absent, "again");
    assert_eq!(all(store, "r", 10).await, (1, vec![("\"user\":\"ann\"".to_owned(), 1)]));
    assert_eq!(exit(store, "r", second).await, Left::Gone);
    assert_eq!(all(store, "r", 10).await, (0, vec![]));
    assert_eq!(told(store, "r", start.at).await, [event("join", "ann", 1), event("leave", "ann", 0)]);
}

pub(crate) async fn sessions_without_a_user_are_members_of_their_own(world: World) {
    let store = &*world.store;
    let start = store.here(&channel("r"), None, 10).await.unwrap();
    for number in 1..=3 {
        assert_eq!(enter(store, "r", stay(&number.to_string(), number), None).await, Entered::Joined);
    }
    // A user's empty name is a name.
    assert_eq!(enter(store, "r", stay("x", 4), Some("")).await, Entered::Joined);
    assert_eq!(enter(store, "r", stay("y", 5), Some("")).await, Entered::Present);
    assert_eq!(all(store, "r", 2).await.0, 4);
    assert_eq!(exit(store, "r", stay("2", 2)).await, Left::Gone);
    let told = told(store, "r", start.at).await;
    assert_eq!((told.len(), &told[4]), (5, &event("leave", "2", 3)));
}

pub(crate) async fn an_entering_that_comes_after_its_stay_is_over_leaves_no_ghost(world: World) {
    let store = &*world.store;
    let (early, later) = (stay("s", 1), stay("s", 2));
    assert_eq!(exit(store, "r", early).await, Left::Absent, "before it came");
    assert_eq!(enter(store, "r", early, Some("ann")).await, Entered::Over);
    assert_eq!(all(store, "r", 10).await.0, 0);
    assert_eq!(enter(store, "r", later, Some("ann")).await, Entered::Joined);
    assert_eq!(exit(store, "r", early).await, Left::Absent, "that of another stay");
    assert_eq!(enter(store, "r", early, Some("ann")).await, Entered::Over);
    assert_eq!(all(store, "r", 10).await.0, 1);
    assert_eq!(exit(store, "r", later).await, Left::Gone);
}

pub(crate) async fn a_session_that_comes_back_as_another_user_leaves_as_the_first(world: World) {
    let store = &*world.store;
    let start = store.here(&channel("r"), None, 10).await.unwrap().at;
    enter(store, "r", stay("s", 1), Some("ann")).await;
    assert_eq!(enter(store, "r", stay("s", 2), Some("bob")).await, Entered::Joined);
    assert_eq!(all(store, "r", 10).await, (1, vec![("\"user\":\"bob\"".to_owned(), 1)]));
    let expected = [event("join", "ann", 1), event("leave", "ann", 0), event("join", "bob", 1)];
    assert_eq!(told(store, "r", start).await, expected);
}

pub(crate) async fn pages_hold_each_member_once_in_the_order_of_names(world: World) {
    let store = &*world.store;
    let mut names = vec!["", "a", "a\0b", "a\u{1}b", "a%00b", "a b", "b\"\\\n", "zoë", "🦀"];
    for (number, name) in (1..).zip(&names) {
        enter(store, "r", stay(&format!("{number}"), number), Some(name)).await;
        enter(store, "r", stay(&format!("{number} too"), number), Some(name)).await;
    }
    for number in 100..105 {
        enter(store, "r", stay(&format!("{number}"), number), None).await;
    }
    for most in [1, 2, 3, 100] {
        let (count, members) = all(store, "r", most).await;
        assert_eq!((count, members.len()), (14, 14), "by {most}");
        let mut found: Vec<_> = members[..9]
            .iter()
            .map(|(about, sessions)| {
                assert_eq!(*sessions, 2, "{about}");
                serde_json::from_str::<serde_json::Value>(&format!("{{{about}}}")).unwrap()["user"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        found.sort_unstable();
        names.sort_unstable();
        assert_eq!(found, names);
        let anonymous: std::collections::BTreeSet<_> = members[9..].iter().collect();
        assert_eq!(anonymous.len(), 5);
    }
}

pub(crate) async fn what_comes_after_a_look_is_told_from_where_it_stood(world: World) {
    let store = &*world.store;
    enter(store, "r", stay("a", 1), Some("ann")).await;
    let here = store.here(&channel("r"), None, 10).await.unwrap();
    assert_eq!(here.count, 1);
    enter(store, "r", stay("b", 2), Some("bob")).await;
    exit(store, "r", stay("a", 1)).await;
    assert_eq!(told(store, "r", here.at).await, [event("join", "bob", 2), event("leave", "ann", 1)]);
    let node = world.join();
    store.follow(node.id, &channel("r")).await.unwrap();
    exit(store, "r", stay("b", 2)).await;
    let (text, seq) = node.heard(1).await.remove(0);
    assert!(text.contains("\"leave\"") && seq == 4, "{text}");
}

pub(crate) async fn a_roster_of_which_nobody_is_told_tells_nothing(world: World) {
    let store = &*world.store;
    let name = channel("quiet");
    let roster = Roster { channel: &name, telling: None };
    let visitor = Visitor { user: None, about: "\"a\":1" };
    assert_eq!(store.enter(roster, stay("s", 1), visitor).await.unwrap(), Entered::Joined);
    assert_eq!(all(store, "quiet", 10).await, (1, vec![("\"a\":1".to_owned(), 1)]));
    assert_eq!(store.exit(roster, stay("s", 1)).await.unwrap(), Left::Gone);
    assert_eq!(store.heads(&[name]).await.unwrap()[0].seq, 0);
}

pub(crate) async fn a_users_name_has_a_length(world: World) {
    let store = &*world.store;
    let (long, longest) = ("x".repeat(4097), "\n".repeat(4096));
    let visitor = Visitor { user: Some(&long), about: "\"a\":1" };
    assert!(store.enter(telling(&channel("r")), stay("s", 1), visitor).await.is_err());
    assert_eq!(enter(store, "r", stay("s", 1), Some(&longest)).await, Entered::Joined);
    assert_eq!(exit(store, "r", stay("s", 1)).await, Left::Gone);
}

pub(crate) async fn open_sessions_are_found_by_bucket_and_looked_up(world: World) {
    let store = &*world.store;
    let node = world.join();
    let mut open = Vec::new();
    for number in 0..40 {
        open.push(node.opened(&format!("s{number}")).await);
    }
    let held = node.open("held", None).await;
    open.push(held.session);
    for name in ["a", "other"] {
        store.set_attribute(held.session, name, Some("b".to_owned())).await.unwrap();
    }
    let closed = node.opened("closed").await;
    store.close(closed, crate::world::reason()).await.unwrap();
    let mut found = Vec::new();
    for bucket in 0..sockhop::SessionKey::BUCKETS {
        for key in store.keys(bucket).await.unwrap() {
            assert_eq!(key.bucket(), bucket);
            found.extend(store.known(key, &[]).await.unwrap());
        }
    }
    let mut sessions: Vec<_> = found.iter().map(|known| known.session).collect();
    sessions.sort_unstable();
    open.sort_unstable();
    assert_eq!(sessions, open, "each once, and none that is over");
    let known = store.known(held.session.key, &["a", "none"]).await.unwrap().expect("known");
    let attributes: Vec<_> =
        known.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!((known.node, attributes), (Some(node.id), vec![("a", "b")]), "those that were asked for");
    assert_eq!(&*known.origin.service, "/test");
    let free = open.iter().find(|session| **session != held.session).unwrap();
    let free = store.known(free.key, &[]).await.unwrap();
    assert_eq!(free.expect("known").node, None);
    assert!(store.known(key("nobody"), &[]).await.unwrap().is_none());
}
