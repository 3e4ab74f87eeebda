//! Who is in a destination, and which sessions there are.

use std::time::SystemTime;

use serde_json::{Value, json};
use sockhop::stomp::{Admission, Connect, ConnectError, Stomp};
use sockhop::{CloseReason, ServiceBuilder};
use sockhop_stomp::{Command, Frame};

use crate::world::{Client, Place, World, send, subscribe};

/// Takes everybody for who their login says, or for nobody.
pub(crate) async fn admit(connect: Connect) -> Result<Admission, ConnectError> {
    Ok(connect.login().map_or_else(Admission::anonymous, Admission::user))
}

fn service() -> ServiceBuilder {
    let rooms = ["/topic/rooms/**", "/topic/lobby"].map(|pattern| pattern.parse().unwrap());
    Stomp::new().on_connect(admit).presence(rooms).service("/ws")
}

const ROOM: &str = "/topic/rooms/a";
const PRESENCE: &str = "/presence/topic/rooms/a";

async fn user(world: &World, name: &str) -> Client {
    world.connected(&[("login", name)]).await
}

/// The next MESSAGE, which tells of presence: all of it but the instant, and its position.
async fn told(client: &mut Client) -> (Value, String) {
    let frame = client.expect(Command::Message).await;
    let header = |name: &str| frame.headers.get(name).unwrap_or_default().to_owned();
    assert_eq!(
        (header("destination"), header("content-type")),
        (PRESENCE.to_owned(), "application/json".to_owned())
    );
    let mut event: Value = serde_json::from_str(&frame.body).expect("JSON");
    let at = event.as_object_mut().unwrap().remove("at").expect("an instant");
    assert_recent(&at);
    (event, header("message-id"))
}

fn assert_recent(at: &Value) {
    let at = humantime::parse_rfc3339(at.as_str().unwrap()).expect("an instant");
    let far = SystemTime::now().duration_since(at).unwrap_or_else(|ahead| ahead.duration());
    assert!(far.as_secs() < 300, "{at:?}");
}

fn event(kind: &str, user: &str, count: u64) -> Value {
    json!({"type": kind, "user": user, "count": count})
}

fn unsubscribe(id: &str) -> Frame {
    Frame::new(Command::Unsubscribe).with("id", id)
}

/// A client that watches the room: what it was told first.
async fn watcher(world: &World) -> (Client, Value) {
    let mut watcher = world.connected(&[]).await;
    watcher.frame(subscribe("w", PRESENCE)).await;
    let first = told(&mut watcher).await.0;
    (watcher, first)
}

pub(crate) async fn who_is_in_a_destination_is_told_and_then_each_join_and_leave(place: Place) {
    let world = World::new(place, service).await;
    let (mut early, first) = watcher(&world).await;
    assert_eq!(first, json!({"type": "here", "count": 0, "members": [], "more": false}));
    let (mut ann, mut second_ann) = (user(&world, "ann").await, user(&world, "ann").await);
    let mut bob = user(&world, "<b>\"bob\"").await;
    let mut nobody = world.connected(&[]).await;
    for client in [&mut ann, &mut second_ann, &mut bob, &mut nobody] {
        client.subscribe("0", ROOM).await;
    }
    assert_eq!(told(&mut early).await.0, event("join", "ann", 1));
    assert_eq!(told(&mut early).await.0, event("join", "<b>\"bob\"", 2));
    let anonymous = told(&mut early).await.0;
    assert_eq!(
        (&anonymous["type"], &anonymous["count"], anonymous.get("user")),
        (&json!("join"), &json!(3), None)
    );
    let (_, mut first) = watcher(&world).await;
    let members = first["members"].as_array_mut().unwrap();
    for member in &mut *members {
        assert_recent(&member.as_object_mut().unwrap().remove("since").unwrap());
    }
    let expected = json!([
        {"user": "<b>\"bob\"", "sessions": 1},
        {"user": "ann", "sessions": 2},
        {"session": anonymous["session"], "sessions": 1},
    ]);
    assert_eq!((json!(members), &first["count"]), (expected, &json!(3)));
    let page = world.broker().here(ROOM, None, 2).await.unwrap();
    assert_eq!((page.count, page.members[1].user.as_deref(), page.members[1].sessions), (3, Some("ann"), 2));
    let rest = world.broker().here(ROOM, page.next.as_ref(), 2).await.unwrap();
    assert_eq!((rest.members.len(), rest.next), (1, None));
    assert_eq!(rest.members[0].session.as_deref(), anonymous["session"].as_str());
    // One of the user's two goes, and then the other.
    second_ann.receipted(unsubscribe("0")).await;
    bob.receipted(unsubscribe("0")).await;
    ann.receipted(unsubscribe("0")).await;
    assert_eq!(told(&mut early).await.0, event("leave", "<b>\"bob\"", 2));
    assert_eq!(told(&mut early).await.0, event("leave", "ann", 1));
    // What others hear of the room is what was sent there, and nothing of this.
    ann.send(ROOM, "hello").await;
    assert_eq!(nobody.message().await.2, "hello");
}

pub(crate) async fn a_session_is_there_until_its_last_subscription_ends(place: Place) {
    let world = World::new(place, service).await;
    let (mut watcher, _) = watcher(&world).await;
    let mut ann = user(&world, "ann").await;
    ann.subscribe("0", ROOM).await;
    ann.subscribe("1", ROOM).await;
    ann.subscribe("2", "/topic/elsewhere").await;
    assert_eq!(told(&mut watcher).await.0, event("join", "ann", 1));
    for id in ["0", "2", "nonsense"] {
        ann.receipted(unsubscribe(id)).await;
    }
    assert_eq!(world.broker().here(ROOM, None, 10).await.unwrap().count, 1);
    for _ in 0..2 {
        ann.receipted(unsubscribe("1")).await;
        assert_eq!(told(&mut watcher).await.0, event("leave", "ann", 0));
        ann.subscribe("1", ROOM).await;
        assert_eq!(told(&mut watcher).await.0, event("join", "ann", 1));
    }
}

pub(crate) async fn presence_is_told_from_a_position_on_without_a_gap(place: Place) {
    let world = World::new(place, service).await;
    let mut watcher = world.connected(&[]).await;
    watcher.frame(subscribe("w", PRESENCE)).await;
    let (_, here) = told(&mut watcher).await;
    watcher.receipted(unsubscribe("w")).await;
    let mut ann = user(&world, "ann").await;
    ann.subscribe("0", ROOM).await;
    ann.receipted(unsubscribe("0")).await;
    watcher.frame(subscribe("w", PRESENCE).with("after", here)).await;
    let (join, joined) = told(&mut watcher).await;
    assert_eq!(join, event("join", "ann", 1));
    assert_eq!(told(&mut watcher).await.0, event("leave", "ann", 0));
    watcher.receipted(unsubscribe("w")).await;
    watcher.frame(subscribe("w", PRESENCE).with("after", joined)).await;
    assert_eq!(told(&mut watcher).await.0, event("leave", "ann", 0), "and no look again");
    let (message, _) = watcher.refused(subscribe("x", PRESENCE).with("after", "abc-7")).await;
    assert_eq!(message, "position not kept");
}

pub(crate) async fn sessions_that_end_in_whatever_way_leave_once(place: Place) {
    let world = World::new(place, service).await;
    let (mut watcher, _) = watcher(&world).await;
    let mut count = 0;
    let mut clients = Vec::new();
    for name in ["says goodbye", "breaks the rules", "just goes"] {
        let mut client = user(&world, name).await;
        client.subscribe("0", ROOM).await;
        count += 1;
        assert_eq!(told(&mut watcher).await.0, event("join", name, count));
        clients.push(client);
    }
    let gone = clients.pop();
    let (message, _) = clients[1].refused(send("/topic", "x")).await;
    assert_eq!(message, "unknown destination");
    assert_eq!(told(&mut watcher).await.0, event("leave", "breaks the rules", 2));
    clients[0].frame(Frame::new(Command::Disconnect)).await;
    assert_eq!(told(&mut watcher).await.0, event("leave", "says goodbye", 1));
    drop(gone);
    assert_eq!(told(&mut watcher).await.0, event("leave", "just goes", 0));
    let mut last = user(&world, "last").await;
    last.subscribe("0", ROOM).await;
    assert_eq!(told(&mut watcher).await.0, event("join", "last", 1), "and nothing between");
}

pub(crate) async fn presence_is_told_where_it_is_kept_and_a_rule_allows_it(place: Place) {
    let rules = ["subscribe /topic/** anyone", "subscribe /presence/topic/rooms/open authenticated"];
    let world = World::new(place, || {
        let rooms = "/topic/rooms/**".parse().unwrap();
        let rules = rules.map(|rule| rule.parse().unwrap());
        Stomp::new().on_connect(admit).presence([rooms]).rules(rules).service("/ws")
    })
    .await;
    for (login, destination, expected) in [
        ("", "/presence/topic/rooms/open", "forbidden"),
        ("ann", "/presence/topic/rooms/closed", "forbidden"),
        ("ann", "/presence/topic/", "unknown destination"),
        ("ann", "/presence/user/queue/x", "unknown destination"),
        ("ann", "/presence/presence/topic/rooms/open", "unknown destination"),
        ("ann", "/presence/topic/rooms/*", "invalid header: destination"),
    ] {
        let mut client = if login.is_empty() { world.connected(&[]).await } else { user(&world, login).await };
        assert_eq!(client.refused(subscribe("0", destination)).await.0, expected, "{login} {destination}");
    }
    let mut ann = user(&world, "ann").await;
    ann.frame(subscribe("0", "/presence/topic/rooms/open")).await;
    assert_eq!(ann.expect(Command::Message).await.headers.get("subscription"), Some("0"));
    let (message, detail) = ann.refused(send("/presence/topic/rooms/open", "{}")).await;
    assert_eq!(message, "invalid header: destination", "{detail}");
    // Without rules, what is not kept is told to be so.
    let world = World::new(place, service).await;
    let (message, detail) = user(&world, "ann").await.refused(subscribe("0", "/presence/topic/news")).await;
    assert_eq!((&*message, &*detail), ("unknown destination", "Who is in /topic/news is not kept."));
    for wrong in ["/queue/a", "/presence/topic/rooms/a", "/user/queue/a", "/topic/", ""] {
        assert!(world.broker().here(wrong, None, 1).await.is_err(), "{wrong:?}");
    }
}

pub(crate) async fn sessions_are_listed_with_what_is_known_of_them(place: Place) {
    let world = World::new(place, || Stomp::new().on_connect(admit).all_sessions_known(true).service("/ws")).await;
    let broker = world.broker();
    assert_eq!(broker.sessions(None, 10).await.unwrap().sessions, []);
    let mut clients = Vec::new();
    for name in ["ann", "ann", "bob"] {
        clients.push(user(&world, name).await);
    }
    clients.push(world.connected(&[]).await);
    clients[0].subscribe("0", "/topic/a").await;
    clients[0].subscribe("1", "/topic/b").await;
    clients[0].receipted(unsubscribe("1")).await;
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = broker.sessions(after, 3).await.unwrap();
        assert!(page.sessions.len() <= 3);
        found.extend(page.sessions);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let mut users: Vec<_> = found.iter().map(|session| session.user.as_deref().unwrap_or("")).collect();
    users.sort_unstable();
    assert_eq!(users, ["", "ann", "ann", "bob"]);
    let transport = if place == Place::MemorySocket { "raw_websocket" } else { "xhr" };
    for session in &found {
        assert_eq!((&*session.service, &*session.transport), ("/ws", transport));
        assert!(SystemTime::now().duration_since(session.since).unwrap_or_default().as_secs() < 300);
        assert_eq!(session.address.is_some(), place == Place::MemorySocket);
        assert_eq!(session.id.to_string().parse(), Ok(session.id));
    }
    let of_ann = broker.sessions_of("ann", None, 10).await.unwrap();
    let mut subscriptions: Vec<_> = of_ann.sessions.iter().map(|session| session.subscriptions).collect();
    subscriptions.sort_unstable();
    assert_eq!((subscriptions, of_ann.next), (vec![0, 1], None));
    let json = serde_json::to_value(&of_ann.sessions[0]).unwrap();
    assert_eq!((json["id"].as_str().map(str::len), &json["user"]), (Some(20), &json!("ann")));
    assert_recent(&json["since"]);
    let page = broker.sessions_of("ann", None, 1).await.unwrap();
    let rest = broker.sessions_of("ann", page.next.as_ref(), 1).await.unwrap();
    assert_eq!(rest.sessions.len(), 1);
    assert_ne!(page.sessions[0].id, rest.sessions[0].id);
    assert_eq!(broker.sessions_of("nobody", None, 10).await.unwrap().sessions, []);
    clients[2].receipted(Frame::new(Command::Disconnect)).await;
    while !broker.sessions_of("bob", None, 10).await.unwrap().sessions.is_empty() {
        tokio::task::yield_now().await;
    }
}

pub(crate) async fn sessions_are_ended_from_any_node_one_or_all_of_a_user(place: Place) {
    let world = World::new(place, service).await;
    let (mut watcher, _) = watcher(&world).await;
    let broker = world.broker();
    let mut clients = Vec::new();
    for name in ["ann", "ann", "bob"] {
        let mut client = user(&world, name).await;
        client.subscribe("0", ROOM).await;
        clients.push(client);
    }
    assert_eq!(told(&mut watcher).await.0, event("join", "ann", 1));
    assert_eq!(told(&mut watcher).await.0, event("join", "bob", 2));
    let bob = broker.sessions_of("bob", None, 10).await.unwrap().sessions.remove(0);
    let reason = CloseReason::new(4777, "Enough").unwrap();
    assert!(broker.disconnect(bob.id, reason.clone()).await.unwrap());
    assert_eq!(clients[2].closed().await, 4777);
    assert_eq!(told(&mut watcher).await.0, event("leave", "bob", 1));
    assert!(!broker.disconnect(bob.id, reason).await.unwrap(), "once");
    assert_eq!(broker.disconnect_user("ann", CloseReason::DISCONNECTED).await.unwrap(), 2);
    for client in &mut clients[..2] {
        assert_eq!(client.closed().await, 4513);
    }
    assert_eq!(told(&mut watcher).await.0, event("leave", "ann", 0));
    while broker.disconnect_user("ann", CloseReason::DISCONNECTED).await.unwrap() > 0 {
        tokio::task::yield_now().await;
    }
}
