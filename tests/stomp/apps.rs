//! Destinations that the application handles.

use serde_json::json;
use sockhop::ServiceBuilder;
use sockhop::stomp::{AppError, AppMessage, Stomp, StompMessage, Tokens};
use sockhop_stomp::{Command, Frame};

use crate::tokens::{SECRET, token};
use crate::world::{Place, World, send, subscribe};

#[derive(serde::Deserialize)]
struct Hello {
    name: String,
}

async fn hello(message: AppMessage) -> Result<(), AppError> {
    let Hello { name } = message.json()?;
    message.send("/topic/greetings", format!("Hello, {name}!")).await?;
    message.reply("/queue/answers", "told").await?;
    Ok(())
}

async fn about(message: AppMessage) -> Result<(), AppError> {
    let user = message.user().map_or("nobody", |user| user.name());
    let roles = message.user().and_then(|user| user.claim("roles")).map(ToString::to_string).unwrap_or_default();
    let seen = format!(
        "{user} {roles} {} {} {} {}",
        message.destination(),
        message.variable("room").unwrap_or_default(),
        message.header("x").unwrap_or_default(),
        message.body()
    );
    message.reply("/queue/seen", seen).await?;
    message.send_to_user("bob", "/queue/seen", "from a handler").await?;
    Ok(())
}

async fn no(message: AppMessage) -> Result<(), AppError> {
    match message.body() {
        "panic" => panic!("as the message says"),
        "lost" => message.send("/nowhere", "x").await.map(drop).map_err(AppError::from),
        why => Err(AppError::refused(why)),
    }
}

#[derive(serde::Serialize)]
struct Members {
    room: String,
    asks: String,
}

async fn members(message: AppMessage) -> Result<StompMessage, AppError> {
    let room = message.variable("room").unwrap_or_default().to_owned();
    if room == "none" {
        return Err(AppError::refused("no such room"));
    }
    let asks = message.user().map_or("nobody", |user| user.name()).to_owned();
    Ok(StompMessage::json(&Members { room, asks })?.with("x", message.header("x").unwrap_or_default()))
}

fn service() -> ServiceBuilder {
    Stomp::new()
        .app_subscribe("/app/rooms/{room}/members", members)
        .app_subscribe("/app/time", async |_| Ok("noon"))
        .app("/app/hello", hello)
        .app("/app/rooms/{room}/about", about)
        .app("/app/no", no)
        .tokens(Tokens::new().secret(SECRET).unwrap())
        .anonymous(true)
        .service("/ws")
}

pub(crate) async fn the_application_handles_its_destinations_and_answers_the_sender_alone(place: Place) {
    let world = World::new(place, service).await;
    for token in [None, Some(token("ann", &json!({})))] {
        let headers: Vec<_> = token.iter().map(|token| ("passcode", token.as_str())).collect();
        let (mut ann, mut ann_too) = (world.connected(&headers).await, world.connected(&headers).await);
        for client in [&mut ann, &mut ann_too] {
            client.subscribe("all", "/topic/greetings").await;
            client.subscribe("own", "/user/queue/answers").await;
        }
        ann.frame(send("/app/hello", "{\"name\":\"Ann\"}")).await;
        let mut came = [ann.message().await, ann.message().await];
        came.sort();
        assert_eq!(came[0], ("all".into(), "/topic/greetings".into(), "Hello, Ann!".into()));
        assert_eq!(came[1], ("own".into(), "/user/queue/answers".into(), "told".into()));
        assert_eq!(ann_too.message().await.2, "Hello, Ann!");
        ann_too.send("/topic/barrier", "the answer was for the other session").await;
    }
}

pub(crate) async fn a_handler_is_found_by_its_pattern_and_sees_who_sent_what(place: Place) {
    let world = World::new(place, service).await;
    let (ann, bob) = (token("ann", &json!({ "roles": ["x"] })), token("bob", &json!({})));
    let (mut ann, mut bob) =
        (world.connected(&[("passcode", &ann)]).await, world.connected(&[("passcode", &bob)]).await);
    ann.subscribe("0", "/user/queue/seen").await;
    bob.subscribe("0", "/user/queue/seen").await;
    ann.frame(send("/app/rooms/7/about", "body").with("x", "y:z")).await;
    assert_eq!(ann.message().await.2, "ann [\"x\"] /app/rooms/7/about 7 y:z body");
    assert_eq!(bob.message().await.2, "from a handler");
    let (message, body) = ann.refused(send("/app/rooms/7", "")).await;
    assert_eq!(message, "unknown destination");
    assert!(body.contains("/app/rooms/7"), "{body}");
}

pub(crate) async fn a_handler_may_refuse_and_its_panic_ends_one_session(place: Place) {
    let world = World::new(place, service).await;
    for (destination, text, message, reason) in [
        ("/app/hello", "no JSON", "invalid body", "not as expected"),
        ("/app/no", "not today", "refused", "not today"),
        ("/app/no", "lost", "internal error", "could not handle"),
    ] {
        let mut client = world.connected(&[]).await;
        let (said, body) = client.refused(send(destination, text)).await;
        assert_eq!(said, message);
        assert!(body.contains(reason), "{body}");
    }
    let mut client = world.connected(&[]).await;
    client.frame(send("/app/no", "panic")).await;
    assert_eq!(client.closed().await, 4500);
    let mut client = world.connected(&[]).await;
    client.send("/topic/a", "the server goes on").await;
}

pub(crate) async fn a_transaction_reaches_the_application_when_it_is_committed(place: Place) {
    let world = World::new(place, service).await;
    let mut client = world.connected(&[]).await;
    client.subscribe("0", "/user/queue/seen").await;
    client.receipted(Frame::new(Command::Begin).with("transaction", "t")).await;
    client.receipted(send("/app/rooms/1/about", "first").with("transaction", "t")).await;
    client.receipted(send("/app/rooms/1/about", "second")).await;
    assert!(client.message().await.2.ends_with("second"));
    client.frame(Frame::new(Command::Commit).with("transaction", "t")).await;
    assert!(client.message().await.2.ends_with("first"));
}

pub(crate) async fn the_application_answers_a_subscription_once_and_nobody_else(place: Place) {
    let world = World::new(place, service).await;
    let token = token("ann", &json!({}));
    let (mut ann, mut other) = (world.connected(&[("passcode", &token)]).await, world.connected(&[]).await);
    ann.frame(subscribe("m", "/app/rooms/7/members").with("x", "y").with("receipt", "r")).await;
    let answer = ann.expect(Command::Message).await;
    let header = |name: &str| answer.headers.get(name).map(str::to_owned);
    assert_eq!(header("subscription").as_deref(), Some("m"));
    assert_eq!(header("destination").as_deref(), Some("/app/rooms/7/members"));
    assert_eq!(header("content-type").as_deref(), Some("application/json"));
    assert_eq!((header("x").as_deref(), header("ack")), (Some("y"), None));
    assert!(header("message-id").is_some_and(|id| id.starts_with("app-")));
    assert_eq!(answer.body, r#"{"room":"7","asks":"ann"}"#);
    ann.expect(Command::Receipt).await;
    // Its name is free again, and ending it is no error.
    ann.receipted(Frame::new(Command::Unsubscribe).with("id", "m")).await;
    ann.frame(subscribe("m", "/app/time").with("ack", "client")).await;
    let answer = ann.expect(Command::Message).await;
    assert_eq!((answer.body.as_str(), answer.headers.get("ack").is_some()), ("noon", true));
    let ack = answer.headers.get("ack").unwrap().to_owned();
    ann.receipted(Frame::new(Command::Ack).with("id", ack)).await;
    other.send("/topic/barrier", "nothing came before this receipt").await;
}

pub(crate) async fn subscriptions_that_the_application_does_not_answer_are_refused(place: Place) {
    let world = World::new(place, service).await;
    for (destination, message, detail) in [
        ("/app/hello", "unknown destination", "send to it, and subscribe to /user/queue/"),
        ("/app/nothing", "unknown destination", "answers nothing"),
        ("/app/rooms/none/members", "refused", "no such room"),
        ("/app/*", "invalid header: destination", "wildcards stand for topics only"),
    ] {
        let mut client = world.connected(&[]).await;
        let (told, body) = client.refused(subscribe("0", destination)).await;
        assert_eq!(told, message, "{destination}");
        assert!(body.contains(detail), "{body}");
    }
    let rules = || {
        let rules = ["subscribe /app/rooms/{user}/members authenticated"].map(|rule| rule.parse().unwrap());
        let tokens = Tokens::new().secret(SECRET).unwrap();
        Stomp::new().app_subscribe("/app/rooms/{room}/members", members).tokens(tokens).rules(rules).service("/ws")
    };
    let world = World::new(place, rules).await;
    let token = token("ann", &json!({}));
    let mut ann = world.connected(&[("passcode", &token)]).await;
    ann.frame(subscribe("m", "/app/rooms/ann/members")).await;
    ann.expect(Command::Message).await;
    assert_eq!(ann.refused(subscribe("n", "/app/rooms/bob/members")).await.0, "forbidden");
}
