//! Who connects, as the application says, and that it is told of the end.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::json;
use sockhop::ServiceBuilder;
use sockhop::stomp::{Admission, AppError, AppMessage, Connect, ConnectError, Disconnect, Stomp, Tokens};
use sockhop::store::{RedisStore, Store};
use sockhop_stomp::{Command, Frame};
use tokio::sync::mpsc;

use crate::redis::Redis;
use crate::tokens::{SECRET, token};
use crate::world::{Client, Place, World, send, subscribe};

async fn admit(connect: Connect) -> Result<Admission, ConnectError> {
    let lasting = |seconds| SystemTime::now() + Duration::from_secs(seconds);
    match (connect.login(), connect.passcode()) {
        (Some("guest"), _) => Ok(Admission::anonymous().rule("send /topic/guests anyone".parse().unwrap())),
        (Some("short"), _) => Ok(Admission::user("short").until(lasting(2))),
        (Some("late"), _) => Err(ConnectError::Unavailable),
        (Some("faulty"), _) => Ok(Admission::user("")),
        (Some("panic"), _) => panic!("as the login says"),
        (Some(name), Some("open sesame")) => Ok(Admission::user(name)
            .claim("roles", json!(["reader"]))
            .claim(
                "seen",
                format!("{} {:?} {:?}", connect.request().path(), connect.host(), connect.header("own")),
            )
            .rule(format!("subscribe /topic/of/{name}/** authenticated").parse().unwrap())
            .rule("send /app/** roles=reader".parse().unwrap())),
        _ => Err(ConnectError::refused("wrong name or passcode")),
    }
}

async fn who(message: AppMessage) -> Result<(), AppError> {
    let user = message.user().map(|user| format!("{} {}", user.name(), user.claim("seen").unwrap()));
    message.send("/topic/of/ann/seen", user.unwrap_or_default()).await?;
    Ok(())
}

fn service() -> ServiceBuilder {
    Stomp::new()
        .on_connect(admit)
        .app("/app/who", who)
        .rules(["subscribe /topic/all anyone".parse().unwrap()])
        .service("/ws")
}

fn ann() -> [(&'static str, &'static str); 4] {
    [("login", "ann"), ("passcode", "open sesame"), ("host", "h"), ("own", "x")]
}

pub(crate) async fn the_application_says_who_connects_and_what_it_may_do(place: Place) {
    let world = World::new(place, service).await;
    let mut client = world.client().await;
    let connected = client.connect(&ann()).await;
    assert_eq!(connected.headers.get("user-name"), Some("ann"));
    client.subscribe("0", "/topic/of/ann/seen").await;
    client.subscribe("1", "/topic/all").await;
    client.frame(send("/app/who", "")).await;
    assert_eq!(client.message().await.2, r#"ann "/ws Some(\"h\") Some(\"x\")""#);
    let (message, _) = client.refused(subscribe("2", "/topic/of/bob/seen")).await;
    assert_eq!(message, "forbidden");
    let mut guest = world.client().await;
    let connected = guest.connect(&[("login", "guest")]).await;
    assert_eq!(connected.headers.get("user-name"), None);
    guest.send("/topic/guests", "").await;
    assert_eq!(guest.refused(send("/app/who", "")).await.0, "forbidden");
}

pub(crate) async fn whom_the_application_refuses_is_told_why(place: Place) {
    let world = World::new(place, service).await;
    for (login, message, why) in [
        ("bob", "authentication failed", "wrong name or passcode"),
        ("late", "unavailable", "Try again"),
        ("faulty", "internal error", "could not handle"),
    ] {
        let mut client = world.client().await;
        let frame = Frame::new(Command::Connect).with("accept-version", "1.2").with("login", login);
        let (said, body) = client.refused(frame).await;
        assert_eq!(said, message);
        assert!(body.contains(why), "{body}");
    }
    let mut client = world.client().await;
    client.frame(Frame::new(Command::Connect).with("accept-version", "1.2").with("login", "panic")).await;
    assert_eq!(client.closed().await, 4500);
    world.connected(&ann()).await.subscribe("0", "/topic/all").await;
}

pub(crate) async fn a_session_ends_when_the_application_has_said(place: Place) {
    let world = World::new(place, || Stomp::new().on_connect(admit).service("/ws")).await;
    let mut client = world.connected(&[("login", "short")]).await;
    client.send("/topic/a", "in time").await;
    assert_eq!(client.closed().await, 4511);
}

pub(crate) async fn a_token_is_verified_before_the_application_is_asked(place: Place) {
    let stomp = || {
        let admit = async |connect: Connect| match connect.user() {
            Some(user) if user.name() == "ann" => Ok(connect.admission()),
            Some(user) => Ok(Admission::user(format!("{}!", user.name()))),
            None => Err(ConnectError::refused("nobody")),
        };
        Stomp::new()
            .tokens(Tokens::new().secret(SECRET).unwrap())
            .anonymous(true)
            .on_connect(move |connect| Box::pin(admit(connect)) as futures_util::future::BoxFuture<'static, _>)
            .service("/ws")
    };
    let world = World::new(place, stomp).await;
    for (user, name) in [("ann", "ann"), ("bob", "bob!")] {
        let mut client = world.client().await;
        let connected = client.connect(&[("passcode", &token(user, &json!({})))]).await;
        assert_eq!(connected.headers.get("user-name"), Some(name));
    }
    for (passcode, why) in [("", "nobody"), ("forged", "malformed")] {
        let mut client = world.client().await;
        let frame = Frame::new(Command::Connect).with("accept-version", "1.2").with("passcode", passcode);
        let (message, body) = client.refused(frame).await;
        assert_eq!(message, "authentication failed");
        assert!(body.contains(why), "{body}");
    }
}

/// A service that is told of ends, and what it is told.
fn told() -> (impl Fn() -> ServiceBuilder, mpsc::UnboundedReceiver<(String, u16)>) {
    let (tell, told) = mpsc::unbounded_channel();
    let tell = Mutex::new(tell);
    let service = move || {
        let tell = tell.lock().unwrap().clone();
        let gone = move |disconnect: Disconnect| {
            let name = disconnect.user().map_or("nobody", |user| user.name()).to_owned();
            let _ = tell.send((name, disconnect.reason().code()));
            async {}
        };
        let bang = async |_: AppMessage| -> Result<(), AppError> { panic!("as asked") };
        Stomp::new()
            .on_connect(admit)
            .on_disconnect(gone)
            .app("/app/panic", move |message| {
                Box::pin(bang(message)) as futures_util::future::BoxFuture<'static, _>
            })
            .service("/ws")
            .disconnect_delay(Duration::from_millis(500))
    };
    (service, told)
}

pub(crate) async fn the_application_is_told_of_each_end_once(place: Place) {
    let (service, mut told) = told();
    let world = World::new(place, service).await;
    // Of one that never connected, nothing is told.
    let mut fresh = world.client().await;
    fresh.refused(send("/topic/a", "")).await;
    let mut refused = world.client().await;
    refused.refused(Frame::new(Command::Connect).with("accept-version", "1.2").with("login", "bob")).await;

    let mut left = world.connected(&ann()).await;
    left.frame(Frame::new(Command::Disconnect)).await;
    assert_eq!(left.closed().await, 1000);
    assert_eq!(told.recv().await.unwrap(), ("ann".to_owned(), 1000));

    let mut wrong = world.connected(&ann()).await;
    wrong.refused(subscribe("0", "/nowhere")).await;
    assert_eq!(told.recv().await.unwrap(), ("ann".to_owned(), 4510));

    let mut expired = world.connected(&[("login", "short")]).await;
    assert_eq!(expired.closed().await, 4511);
    assert_eq!(told.recv().await.unwrap(), ("short".to_owned(), 4511));

    let mut panicked = world.connected(&[("login", "ann"), ("passcode", "open sesame")]).await;
    panicked.frame(send("/app/panic", "")).await;
    assert_eq!(panicked.closed().await, 4500);
    assert_eq!(told.recv().await.unwrap(), ("ann".to_owned(), 4500));

    let gone: Client = world.connected(&[("login", "guest")]).await;
    drop(gone);
    assert_eq!(told.recv().await.unwrap().0, "nobody");
    assert!(told.try_recv().is_err(), "each once");
}

pub(crate) async fn a_client_that_connects_and_leaves_in_one_breath_was_there(place: Place) {
    let (service, mut told) = told();
    let world = World::new(place, service).await;
    let mut client = world.client().await;
    client.text("CONNECT\naccept-version:1.2\nlogin:guest\n\n\0DISCONNECT\n\n\0").await;
    client.expect(Command::Connected).await;
    assert_eq!(client.closed().await, 1000);
    assert_eq!(told.recv().await.unwrap(), ("nobody".to_owned(), 1000));
}

/// A node with its own Redis, clients on WebSockets, and a store that gives up early.
async fn on_redis() -> (World, Redis, mpsc::UnboundedReceiver<(String, u16)>) {
    let redis = Redis::start();
    let store = RedisStore::builder(&redis.url())
        .unwrap()
        .timeout(Duration::from_millis(200))
        .patience(Duration::from_millis(500))
        .build();
    store.started().await.unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    let (service, told) = told();
    let world = World::with(Place::MemorySocket, service, |node| node.store(Arc::clone(&store))).await;
    (world, redis, told)
}

/// Nobody is left to be told of: all that is known of sessions is that they are over.
async fn all_ends_are_told(redis: &Redis) {
    while redis.keys("sockhop:{s").iter().any(|key| !key.contains(":taken:")) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_one_that_connects_while_redis_stalls_is_told_once() {
    let (world, redis, mut told) = on_redis().await;
    let mut client = world.client().await;
    redis.stop();
    let connect =
        ann().into_iter().fold(Frame::new(Command::Connect), |frame, (name, value)| frame.with(name, value));
    client.refused(connect.with("accept-version", "1.2")).await;
    // Longer than the store is patient.
    tokio::time::sleep(Duration::from_secs(1)).await;
    redis.cont();
    assert_eq!(told.recv().await.unwrap(), ("ann".to_owned(), 4510));
    all_ends_are_told(&redis).await;
    assert!(told.try_recv().is_err(), "once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_one_that_redis_has_lost_is_told_once() {
    let (world, redis, mut told) = on_redis().await;
    let client = world.connected(&ann()).await;
    redis.command(&["FLUSHALL"]);
    drop(client);
    assert_eq!(told.recv().await.unwrap().0, "ann");
    all_ends_are_told(&redis).await;
    assert!(told.try_recv().is_err(), "once");
}
