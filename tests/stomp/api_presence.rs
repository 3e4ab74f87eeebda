//! The HTTP API: who is here, and which sessions there are.

use serde_json::json;
use sockhop::stomp::Stomp;
use sockhop::{Node, ServiceBuilder};

use crate::api::{ADMIN, Answer, READER, ask, request};
use crate::presence::admit;
use crate::world::{Client, Place, World};

fn service() -> ServiceBuilder {
    Stomp::new().on_connect(admit).presence(["/topic/rooms/*".parse().unwrap()]).service("/ws")
}

async fn call(node: &Node, method: &str, path: &str, key: &str) -> Answer {
    ask(node, request(method, path, key), "").await
}

/// Clients of these users, in a room.
async fn crowd(world: &World, users: &[&str]) -> Vec<Client> {
    let mut clients = Vec::new();
    for user in users {
        let mut client = world.connected(&[("login", user)]).await;
        client.subscribe("0", "/topic/rooms/a").await;
        clients.push(client);
    }
    clients
}

pub(crate) async fn the_api_says_who_is_here_page_by_page(place: Place) {
    let world = World::new(place, service).await;
    let node = world.nodes.last().unwrap();
    let _clients = crowd(&world, &["<b>", "ann", "ann"]).await;
    let mut nobody = world.connected(&[]).await;
    nobody.subscribe("0", "/topic/rooms/a").await;
    let (mut members, mut after) = (Vec::new(), String::new());
    loop {
        let page = call(node, "GET", &format!("presence?destination=/topic/rooms/a&limit=1{after}"), READER).await;
        assert_eq!((page.status, &page.json["count"]), (200, &json!(3)));
        members.extend(page.json["members"].as_array().unwrap().clone());
        match page.json["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    let told: Vec<_> = members.iter().map(|member| (&member["user"], &member["sessions"])).collect();
    let null = json!(null);
    let (one, two) = (json!(1), json!(2));
    assert_eq!(told, [(&json!("<b>"), &one), (&json!("ann"), &two), (&null, &one)]);
    assert_eq!(members[2]["session"].as_str().map(str::len), Some(20));
    humantime::parse_rfc3339(members[0]["since"].as_str().unwrap()).unwrap();
    let empty = call(node, "GET", "presence?destination=/topic/elsewhere", READER).await;
    assert_eq!(empty.json, json!({"count": 0, "members": [], "next": null}));
}

pub(crate) async fn the_api_lists_sessions_and_ends_them(place: Place) {
    let world = World::new(place, service).await;
    let (first, last) = (&world.nodes[0], world.nodes.last().unwrap());
    let mut clients = crowd(&world, &["ann", "ann", "b/ob"]).await;
    let all = call(last, "GET", "sessions", ADMIN).await;
    assert_eq!((all.status, &all.json["next"]), (200, &json!(null)));
    assert_eq!(all.json["sessions"].as_array().map(Vec::len), Some(3), "{}", all.json);
    let page = call(first, "GET", "sessions?limit=2", ADMIN).await;
    let next = page.json["next"].as_str().expect("another page");
    let rest = call(last, "GET", &format!("sessions?limit=2&after={next}"), ADMIN).await;
    assert_eq!(rest.json["sessions"].as_array().map(Vec::len), Some(1));
    let of_bob = call(last, "GET", "sessions?user=b/ob", ADMIN).await;
    let bob = &of_bob.json["sessions"][0];
    assert_eq!((&bob["user"], &bob["service"], &bob["subscriptions"]), (&json!("b/ob"), &json!("/ws"), &json!(1)));
    let path = format!("sessions/{}?code=4001&reason=%EC%95%88%EB%85%95", bob["id"].as_str().unwrap());
    assert_eq!(call(last, "DELETE", &path, ADMIN).await.json, json!({"ended": 1}));
    assert_eq!(clients[2].closed().await, 4001);
    assert_eq!(call(last, "DELETE", &path, ADMIN).await.problem(), (404, "unknown-session", ""));
    assert_eq!(call(first, "DELETE", "users/ann/sessions", ADMIN).await.json, json!({"ended": 2}));
    for client in &mut clients[..2] {
        assert_eq!(client.closed().await, 4513);
    }
    assert_eq!(call(first, "DELETE", "users/nobody/sessions", ADMIN).await.json, json!({"ended": 0}));
    while call(last, "GET", "presence?destination=/topic/rooms/a", READER).await.json["count"] != 0 {
        tokio::task::yield_now().await;
    }
}

pub(crate) async fn calls_about_presence_and_sessions_that_are_wrong_are_refused(place: Place) {
    let world = World::new(place, service).await;
    let node = &world.nodes[0];
    let (invalid, cursor) = ("invalid-request", "unknown-cursor");
    let room = "presence?destination=/topic/rooms/a";
    for (method, path, key, expected) in [
        ("GET", "presence", READER, (400, invalid, "destination")),
        ("GET", "presence?destination=/queue/a", READER, (404, "unknown-destination", "destination")),
        ("GET", "presence?destination=/topic/*", READER, (404, "unknown-destination", "destination")),
        ("GET", &format!("{room}&limit=0"), READER, (400, invalid, "limit")),
        ("GET", &format!("{room}&limit=1001"), READER, (400, invalid, "limit")),
        ("GET", &format!("{room}&limit=+1"), READER, (400, invalid, "limit")),
        ("GET", &format!("{room}&after=xyz"), READER, (400, invalid, "after")),
        ("GET", &format!("{room}&after="), READER, (400, invalid, "after")),
        ("GET", &format!("{room}&after=303"), READER, (404, cursor, "after")),
        ("GET", &format!("{room}&after={}", "30".repeat(20_000)), READER, (404, cursor, "after")),
        ("GET", &format!("{room}&user=a"), READER, (400, invalid, "user")),
        ("GET", "presence?destination=/topic/rooms/a", ADMIN, (403, "forbidden", "")),
        ("GET", "sessions", READER, (403, "forbidden", "")),
        ("GET", "sessions?limit=x", ADMIN, (400, invalid, "limit")),
        ("GET", "sessions?after=3031", ADMIN, (404, cursor, "after")),
        ("GET", "sessions?user=a&after=00000000000000000000", ADMIN, (404, cursor, "after")),
        ("GET", "sessions?after=ffff0000000000000000", ADMIN, (404, cursor, "after")),
        ("DELETE", "sessions/00000000000000000000", READER, (403, "forbidden", "")),
        ("DELETE", "sessions/00000000000000000000", ADMIN, (404, "unknown-session", "")),
        ("DELETE", "sessions/nonsense", ADMIN, (404, "unknown-session", "")),
        ("DELETE", "sessions/a?code=1006", ADMIN, (400, invalid, "code")),
        ("DELETE", "sessions/a?code=70000", ADMIN, (400, invalid, "code")),
        ("DELETE", "users/a/sessions?code=x", ADMIN, (400, invalid, "code")),
        ("DELETE", "users/a/sessions?because=x", ADMIN, (400, invalid, "because")),
        ("DELETE", &format!("users/a/sessions?reason={}", "x".repeat(31)), ADMIN, (400, invalid, "reason")),
        ("POST", "sessions", ADMIN, (405, "method-not-allowed", "")),
    ] {
        let answer = call(node, method, path, key).await;
        assert_eq!(answer.problem(), expected, "{method} {path:.80}");
    }
    for (method, path) in [("GET", "sessions"), ("DELETE", "users/a/sessions"), ("GET", "presence")] {
        assert_eq!(call(node, method, path, "nobody's key at all").await.status, 403);
        let unkeyed = http::Request::builder().method(method).uri(format!("/api/v1/{path}"));
        assert_eq!(ask(node, unkeyed, "").await.status, 401, "{path}");
    }
}
