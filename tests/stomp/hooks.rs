//! An application behind HTTP, and what clients see when it is slow, wrong or gone.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sockhop::ServiceBuilder;
use sockhop::stomp::{HttpHook, Stomp, Tokens};
use sockhop_stomp::{Command, Frame};

use crate::backend::{Answer, Backend};
use crate::tokens::{SECRET, token};
use crate::world::{Place, World, send, subscribe};

const HOOK_SECRET: &[u8] = b"thirty-two bytes of hook's secret";

fn hook(url: &str) -> HttpHook {
    let hook = HttpHook::builder(url).unwrap().secret(HOOK_SECRET).unwrap();
    hook.timeout(Duration::from_millis(1500)).answer_limit(10_000).concurrency(2).build()
}

/// A service whose messages, connects and ends go to a backend.
fn service(url: &str) -> impl Fn() -> ServiceBuilder {
    let url = url.to_owned();
    move || {
        let hook = hook(&url);
        Stomp::new().app("/app/**", hook.clone()).on_connect(hook.clone()).on_disconnect(hook).service("/ws")
    }
}

/// A service that asks a backend about messages alone.
fn messages_only(url: &str) -> impl Fn() -> ServiceBuilder {
    let url = url.to_owned();
    move || Stomp::new().app("/app/**", hook(&url)).service("/ws")
}

/// Lets everybody in, under the name of their login.
fn admit(event: &Value) -> Answer {
    match event["headers"]["login"].as_str() {
        Some(name) => Answer::Json(json!({ "user": { "name": name, "claims": { "roles": ["reader"] } } })),
        None => Answer::Json(json!({ "user": null })),
    }
}

pub(crate) async fn a_backend_handles_messages_and_its_answers_are_sent(place: Place) {
    let backend = Backend::start(|event, _| match event["event"].as_str().unwrap() {
        "connect" => admit(event),
        "message" => Answer::Json(json!({
            "send": [
                { "destination": "/topic/said", "body": event["body"], "headers": { "by": event["user"]["name"] } },
                { "destination": "/user/bob/queue/said", "body": { "claims": event["user"]["claims"] } },
                { "destination": "/queue/said", "body": "for one of them" },
            ],
            "reply": { "destination": "/queue/answers", "body": "done" },
        })),
        _ => Answer::Json(json!({})),
    });
    let world = World::new(place, service(&backend.url())).await;
    let mut ann = world.connected(&[("login", "ann")]).await;
    let mut bob = world.connected(&[("login", "bob")]).await;
    let mut worker = world.connected(&[]).await;
    ann.subscribe("0", "/user/queue/answers").await;
    worker.subscribe("0", "/queue/said").await;
    bob.subscribe("0", "/topic/said").await;
    bob.subscribe("1", "/user/queue/said").await;
    ann.frame(send("/app/rooms/7", "héllo\n").with("own", "a:b").with("own", "c")).await;
    assert_eq!(ann.message().await, ("0".into(), "/user/queue/answers".into(), "done".into()));
    let mut came = [bob.expect(Command::Message).await, bob.expect(Command::Message).await];
    came.sort_by_key(|frame| frame.headers.get("subscription").unwrap().to_owned());
    assert_eq!((came[0].body.as_str(), came[0].headers.get("by")), ("héllo\n", Some("ann")));
    assert_eq!(came[1].body, r#"{"claims":{"roles":["reader"]}}"#);
    assert_eq!(came[1].headers.get("content-type"), Some("application/json"));
    assert_eq!(worker.message().await.2, "for one of them");

    let calls = backend.calls();
    let [_, _, _, call] = calls.as_slice() else { panic!("three connects and a message: {calls:?}") };
    assert_eq!(call.line, "POST /hook HTTP/1.1");
    assert_eq!(call.headers["content-type"], "application/json");
    let event = &call.event;
    assert_eq!(event["destination"], "/app/rooms/7");
    assert_eq!(event["headers"]["own"], "a:b");
    assert_eq!(event["user"], json!({ "name": "ann", "claims": { "roles": ["reader"] } }));
    assert_eq!(event["session"], calls[0].event["session"]);
    assert_eq!(event["id"].as_str().unwrap().len(), 32);
}

pub(crate) async fn a_call_is_signed_with_the_time_and_the_body(place: Place) {
    use hmac::{Hmac, Mac};
    let backend = Backend::start(|_, _| Answer::Json(json!({})));
    let world = World::new(place, messages_only(&backend.url())).await;
    world.connected(&[]).await.send("/app/x", "body").await;
    let call = &backend.calls()[0];
    let timestamp = &call.headers["x-sockhop-timestamp"];
    let now = crate::tokens::now();
    assert!((now - 60..=now).contains(&timestamp.parse().unwrap()));
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(HOOK_SECRET).unwrap();
    mac.update(format!("{timestamp}.{}", call.body).as_bytes());
    let digest = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(call.headers["x-sockhop-signature"], format!("sha256={digest}"));
}

pub(crate) async fn what_one_client_sends_reaches_the_backend_in_order_over_one_connection(place: Place) {
    let backend = Backend::start(|_, _| Answer::Json(json!({})));
    let world = World::new(place, messages_only(&backend.url())).await;
    let mut client = world.connected(&[]).await;
    for number in 0..20 {
        client.send("/app/x", &number.to_string()).await;
    }
    // The same text again is another message.
    client.send("/app/x", "0").await;
    let calls = backend.calls();
    let bodies: Vec<_> = calls.iter().map(|call| call.event["body"].as_str().unwrap().to_owned()).collect();
    assert_eq!(bodies, (0..20).chain([0]).map(|number| number.to_string()).collect::<Vec<_>>());
    let ids: std::collections::HashSet<_> = calls.iter().map(|call| call.event["id"].to_string()).collect();
    assert_eq!(ids.len(), 21);
    assert!(
        backend.connections() <= world.nodes.len(),
        "each node keeps its connection: {}",
        backend.connections()
    );
}

pub(crate) async fn a_backend_that_fails_is_told_to_the_client_and_to_nobody_else(place: Place) {
    let backend = Backend::start(|event, _| match event["body"].as_str().unwrap() {
        "500" => Answer::Raw(500, "{}".to_owned()),
        "404" => Answer::Raw(404, String::new()),
        "redirect" => Answer::Raw(302, String::new()),
        "nonsense" => Answer::Raw(200, "<html>".to_owned()),
        "nowhere" => Answer::Json(json!({
            "send": [{ "destination": "/topic/half", "body": "x" }, { "destination": "/nowhere" }]
        })),
        "large" => Answer::Raw(200, format!("{{\"refuse\":\"{}\"}}", "x".repeat(10_000))),
        "late" => Answer::Late(Duration::from_secs(5), json!({})),
        "never" => Answer::Never,
        "break" => Answer::Break,
        "busy" => Answer::Raw(503, String::new()),
        "refuse" => Answer::Json(json!({ "refuse": "not on Sundays" })),
        _ => Answer::Json(json!({})),
    });
    let world = World::new(place, messages_only(&backend.url())).await;
    let mut other = world.connected(&[]).await;
    other.subscribe("0", "/topic/half").await;
    for (text, message, detail) in [
        ("500", "internal error", "could not handle"),
        ("404", "internal error", "could not handle"),
        ("redirect", "internal error", "could not handle"),
        ("nonsense", "internal error", "could not handle"),
        ("nowhere", "internal error", "could not handle"),
        ("large", "internal error", "could not handle"),
        ("late", "outcome unknown", "may or may not"),
        ("never", "outcome unknown", "may or may not"),
        ("break", "outcome unknown", "may or may not"),
        ("busy", "unavailable", "Try again"),
        ("refuse", "refused", "not on Sundays"),
    ] {
        let mut client = world.connected(&[]).await;
        let failed = client.refused(send("/app/x", text));
        // Meanwhile others go on.
        let ((said, body), ()) = tokio::join!(failed, other.send("/app/x", "fine"));
        assert_eq!(said, message, "{text}");
        assert!(body.contains(detail), "{text}: {body}");
    }
    let of = |text: &str| backend.calls().iter().filter(|call| call.event["body"] == text).count();
    for text in ["500", "nonsense", "late", "break"] {
        assert_eq!(of(text), 1, "what may have been handled is not sent again: {text}");
    }
    assert!(of("busy") > 1, "what was not, is");
    // Of an answer that is wrong nothing is sent.
    world.broker().send("/topic/half", "the first").await.unwrap();
    assert_eq!(other.message().await.2, "the first");
}

pub(crate) async fn a_backend_answers_subscriptions(place: Place) {
    let backend = Backend::start(|event, _| match event["destination"].as_str().unwrap() {
        "/app/members" => Answer::Json(json!({ "body": { "who": event["event"] }, "headers": { "a": "b" } })),
        "/app/secret" => Answer::Json(json!({ "refuse": "not for you" })),
        _ => Answer::Json(json!({})),
    });
    let url = backend.url();
    let stomp = move || Stomp::new().app_subscribe("/app/**", hook(&url)).service("/ws");
    let world = World::new(place, stomp).await;
    let mut client = world.connected(&[]).await;
    client.frame(subscribe("0", "/app/members")).await;
    let message = client.expect(Command::Message).await;
    assert_eq!((message.body.as_str(), message.headers.get("a")), (r#"{"who":"subscribe"}"#, Some("b")));
    assert_eq!(client.refused(subscribe("1", "/app/secret")).await, ("refused".into(), "not for you".into()));
    let mut other = world.connected(&[]).await;
    assert_eq!(other.refused(subscribe("0", "/app/nothing")).await.0, "internal error");
}

pub(crate) async fn a_backend_that_is_not_there_is_waited_for_and_then_told(place: Place) {
    let gone = format!("http://127.0.0.1:{}/", crate::redis::free_port());
    let world = World::new(place, messages_only(&gone)).await;
    let mut client = world.connected(&[]).await;
    let (message, body) = client.refused(send("/app/x", "")).await;
    assert_eq!((message.as_str(), body.contains("Try again")), ("unavailable", true));
    // One that is busy for a moment is asked again, with the same id.
    let backend = Backend::start(|_, before| match before {
        0 | 1 => Answer::Raw(503, String::new()),
        _ => Answer::Json(json!({})),
    });
    let world = World::new(place, messages_only(&backend.url())).await;
    world.connected(&[]).await.send("/app/x", "").await;
    let calls = backend.calls();
    assert_eq!(calls.len(), 3);
    assert!(calls.iter().all(|call| call.event["id"] == calls[0].event["id"]));
}

pub(crate) async fn only_so_many_calls_are_under_way_and_only_so_many_wait(place: Place) {
    let (release, waits) = std::sync::mpsc::channel::<()>();
    let waits = std::sync::Mutex::new(waits);
    let backend = Backend::start(move |_, _| {
        // Until the test lets all go on.
        let _ = waits.lock().unwrap().recv();
        Answer::Json(json!({}))
    });
    let url = backend.url();
    let stomp = move || {
        let hook = HttpHook::builder(&url).unwrap().concurrency(1).timeout(Duration::from_secs(30)).build();
        Stomp::new().app("/app/**", hook).service("/ws")
    };
    let world = Arc::new(World::new(place, stomp).await);
    let nodes = world.nodes.len();
    let mut clients = tokio::task::JoinSet::new();
    // For each node one call, sixteen that wait, and some more.
    for _ in 0..25 * nodes {
        let mut client = world.connected(&[]).await;
        clients.spawn(async move {
            client.frame(send("/app/x", "").with("receipt", "r")).await;
            client.next().await
        });
    }
    // Those for whom there is no room are told at once.
    let mut refused = 0;
    while refused < 8 * nodes {
        let frame = clients.join_next().await.unwrap().unwrap();
        assert_eq!((frame.command, frame.headers.get("message")), (Command::Error, Some("unavailable")));
        refused += 1;
    }
    drop(release);
    while let Some(frame) = clients.join_next().await {
        assert_eq!(frame.unwrap().command, Command::Receipt);
    }
    assert_eq!(backend.most_at_once(), nodes);
}

pub(crate) async fn a_backend_says_who_connects_and_is_asked_with_all_that_is_known(place: Place) {
    let backend = Backend::start(|event, _| match event["headers"]["login"].as_str() {
        Some("ann") => Answer::Json(json!({
            "user": { "name": "ann", "claims": { "from": event["request"]["path"] } },
            "expires": crate::tokens::now() + 3,
            "rules": ["subscribe /topic/of/{user} authenticated"],
        })),
        Some(_) => Answer::Json(json!({ "refuse": "Who are you?" })),
        None => Answer::Json(json!({ "user": event["user"] })),
    });
    let url = backend.url();
    let stomp = move || {
        let tokens = Tokens::new().secret(SECRET).unwrap();
        Stomp::new().on_connect(hook(&url)).tokens(tokens).anonymous(true).service("/ws")
    };
    let world = World::new(place, stomp).await;
    let mut client = world.client_with("room=7", "").await;
    let connected = client.connect(&[("login", "ann"), ("own", "x")]).await;
    assert_eq!(connected.headers.get("user-name"), Some("ann"));
    client.subscribe("0", "/topic/of/ann").await;
    let (_, body) = world.client().await.refused(connect("bob")).await;
    assert_eq!(body, "Who are you?");
    let mut cat = world.client().await;
    let connected = cat.connect(&[("passcode", &token("cat", &json!({ "level": 3 })))]).await;
    assert_eq!(connected.headers.get("user-name"), Some("cat"));
    assert_eq!(client.closed().await, 4511, "when the backend has said");
    let calls = backend.calls();
    assert_eq!(calls[0].event["headers"]["own"], "x");
    assert_eq!(calls[0].event["request"]["path"], "/ws");
    assert_eq!(calls[0].event["request"]["query"], "room=7");
    assert_eq!(calls[0].event["user"], Value::Null);
    assert_eq!(calls[2].event["user"]["claims"]["level"], 3);
}

fn connect(login: &str) -> Frame {
    Frame::new(Command::Connect).with("accept-version", "1.2").with("login", login)
}

pub(crate) async fn nobody_gets_in_while_the_backend_fails(place: Place) {
    let backend = Backend::start(|event, _| match event["headers"]["login"].as_str().unwrap_or_default() {
        "500" => Answer::Raw(500, String::new()),
        "empty" => Answer::Raw(200, String::new()),
        "nothing" => Answer::Json(json!({})),
        "nonsense" => Answer::Json(json!({ "user": "ann" })),
        "large" => Answer::Raw(200, format!("{{\"refuse\":\"{}\"}}", "x".repeat(10_000))),
        "late" => Answer::Late(Duration::from_secs(5), json!({ "user": null })),
        "break" => Answer::Break,
        _ => Answer::Raw(503, String::new()),
    });
    let world = World::new(place, service(&backend.url())).await;
    for login in ["500", "empty", "nothing", "nonsense", "large", "late", "break", "busy"] {
        let mut client = world.client().await;
        let (message, body) = client.refused(connect(login)).await;
        assert_eq!(message, "unavailable", "{login}");
        assert!(body.contains("Try again"), "{login}: {body}");
    }
    let gone = format!("http://127.0.0.1:{}/", crate::redis::free_port());
    let world = World::new(place, service(&gone)).await;
    assert_eq!(world.client().await.refused(connect("ann")).await.0, "unavailable");
}

pub(crate) async fn a_backend_is_told_who_has_left_however_often_it_takes(place: Place) {
    let told = std::sync::atomic::AtomicUsize::new(0);
    let backend = Backend::start(move |event, _| match event["event"].as_str().unwrap() {
        "connect" => admit(event),
        _ => match told.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Answer::Raw(500, String::new()),
            1 => Answer::Break,
            _ => Answer::Json(json!({})),
        },
    });
    let world = World::new(place, service(&backend.url())).await;
    let mut client = world.connected(&[("login", "ann")]).await;
    client.refused(subscribe("0", "/nowhere")).await;
    let backend = Arc::new(backend);
    let waits = Arc::clone(&backend);
    // The connect, two that fail, perhaps one that was repeated since its connection broke, and one that does not.
    let calls = tokio::task::spawn_blocking(move || waits.wait_for(4)).await.unwrap();
    let event = &calls[3].event;
    assert_eq!(event["event"], "disconnect");
    assert_eq!((event["user"]["name"].as_str(), event["code"].as_u64()), (Some("ann"), Some(4510)));
    assert_eq!(event["session"], calls[0].event["session"]);
}
