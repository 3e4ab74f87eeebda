//! What is sent to users, and who may do what.

use serde_json::json;
use sockhop::ServiceBuilder;
use sockhop::stomp::{Stomp, Tokens};
use sockhop_stomp::{Command, Frame};

use crate::tokens::{SECRET, now, token};
use crate::world::{Client, Place, World, send, service, subscribe};

fn with_users(rules: &[&str]) -> ServiceBuilder {
    let tokens = Tokens::new().secret(SECRET).unwrap().leeway(std::time::Duration::ZERO);
    let rules = rules.iter().map(|rule| rule.parse().unwrap());
    Stomp::new().tokens(tokens).anonymous(true).rules(rules).service("/ws")
}

async fn connected(world: &World, user: &str) -> Client {
    let token = token(user, &json!({}));
    world.connected(&[("passcode", &token)]).await
}

pub(crate) async fn a_user_is_reached_in_all_sessions_and_nobody_else_is(place: Place) {
    let world = World::new(place, || with_users(&[])).await;
    let (mut ann, mut ann_too) = (connected(&world, "ann/@x").await, connected(&world, "ann/@x").await);
    let (mut bob, mut nobody) = (connected(&world, "ann").await, world.connected(&[]).await);
    for client in [&mut ann, &mut ann_too, &mut bob, &mut nobody] {
        client.subscribe("0", "/user/queue/x").await;
        client.subscribe("1", "/user/topic/x").await;
    }
    bob.send("/user/ann%2F@x/queue/x", "from a client").await;
    world.broker().send_to_user("ann/@x", "/topic/x", "from the application").await.unwrap();
    for client in [&mut ann, &mut ann_too] {
        let mut came = [client.message().await, client.message().await];
        came.sort();
        assert_eq!(came[0], ("0".into(), "/user/queue/x".into(), "from a client".into()));
        assert_eq!(came[1], ("1".into(), "/user/topic/x".into(), "from the application".into()));
    }
    world.broker().send_to_user("ann", "/queue/x", "for the other").await.unwrap();
    assert_eq!(bob.message().await.2, "for the other");
    nobody.send("/topic/barrier", "nothing came before this receipt").await;
}

pub(crate) async fn a_client_without_a_user_has_destinations_of_its_own(place: Place) {
    let world = World::new(place, service).await;
    let (mut one, mut two) = (world.connected(&[]).await, world.connected(&[]).await);
    one.subscribe("0", "/user/queue/x").await;
    two.subscribe("0", "/user/queue/x").await;
    world.broker().send_to_user("", "/queue/x", "nobody").await.unwrap_err();
    one.receipted(Frame::new(Command::Unsubscribe).with("id", "0")).await;
    two.send("/topic/barrier", "").await;
}

pub(crate) async fn users_on_two_nodes_talk_through_topics_and_their_queues(place: Place) {
    let world = World::new(place, || with_users(&[])).await;
    let (mut ann, mut bob) = (connected(&world, "ann").await, connected(&world, "bob").await);
    for client in [&mut ann, &mut bob] {
        client.subscribe("all", "/topic/room").await;
        client.subscribe("own", "/user/queue/private").await;
    }
    for round in 0..5 {
        ann.frame(send("/topic/room", &format!("to all {round}"))).await;
        ann.frame(send("/user/bob/queue/private", &format!("to bob {round}"))).await;
        assert_eq!(ann.message().await.2, format!("to all {round}"));
        let mut came = [bob.message().await.2, bob.message().await.2];
        came.sort();
        assert_eq!(came, [format!("to all {round}"), format!("to bob {round}")]);
        bob.frame(send("/user/ann/queue/private", &format!("to ann {round}"))).await;
        assert_eq!(ann.message().await, ("own".into(), "/user/queue/private".into(), format!("to ann {round}")));
    }
}

pub(crate) async fn rules_say_who_may_do_what_and_nobody_may_do_the_rest(place: Place) {
    let rules = [
        "subscribe /topic/news/** anyone",
        "send /topic/news/** roles=editor",
        "all /topic/rooms/* authenticated",
        "all /topic/inbox/{user} authenticated",
        "subscribe /user/queue/** authenticated",
    ];
    let world = World::new(place, || with_users(&rules)).await;
    let editor = token("eve", &json!({ "roles": ["editor"] }));
    let may = [
        (None, subscribe("0", "/topic/news/a/b")),
        (Some(editor.clone()), send("/topic/news/a", "")),
        (Some(token("ann", &json!({}))), subscribe("0", "/topic/rooms/1")),
        (Some(token("ann", &json!({}))), send("/topic/inbox/ann", "")),
        (Some(token("ann", &json!({}))), subscribe("0", "/user/queue/x")),
    ];
    for (token, frame) in may {
        let mut client =
            world.connected(&token.iter().map(|token| ("passcode", &**token)).collect::<Vec<_>>()).await;
        client.receipted(frame).await;
    }
    let may_not = [
        (None, send("/topic/news/a", ""), "clients without a user send"),
        (None, subscribe("0", "/topic/rooms/1"), "clients without a user subscribe"),
        (None, subscribe("0", "/user/queue/x"), "clients without a user subscribe"),
        (Some(token("ann", &json!({}))), send("/topic/news/a", ""), "user ann send"),
        (Some(token("ann", &json!({}))), subscribe("0", "/topic/inbox/bob"), "user ann subscribe"),
        (Some(token("ann", &json!({}))), subscribe("0", "/topic/rooms/1/secret"), "user ann subscribe"),
        (Some(editor), send("/user/ann/queue/x", ""), "user eve send"),
        (Some(token("ann", &json!({ "role": "editor" }))), send("/topic/other", ""), "user ann send"),
        (None, send("/topic/other", "").with("transaction", "t"), "clients without a user send"),
    ];
    for (token, frame, who) in may_not {
        let mut client =
            world.connected(&token.iter().map(|token| ("passcode", &**token)).collect::<Vec<_>>()).await;
        let (message, body) = client.refused(frame).await;
        assert_eq!(message, "forbidden", "{body}");
        assert!(body.contains(who), "{body}");
    }
}

pub(crate) async fn nobody_reads_what_is_sent_to_another(place: Place) {
    let world = World::new(place, || with_users(&[])).await;
    for destination in [
        "/user/bob/queue/x",
        "/user/ann/../bob/queue/x",
        "/user/%62ob/queue/x",
        "/user/queue/../../bob/queue/x/*",
        "/session/0/queue/x",
        "/user/*/queue/x",
        "/user/**",
        "/**",
    ] {
        let mut client = connected(&world, "ann").await;
        client.refused(subscribe("0", destination)).await;
    }
    // What is no attempt to climb is only a strange name, of one's own or of a topic.
    let mut ann = connected(&world, "ann").await;
    ann.subscribe("0", "/user/queue/../../bob/queue/x").await;
    ann.subscribe("1", "/topic/../user/bob/queue/x").await;
    ann.subscribe("2", "/topic/../user/bob/queue/*").await;
    world.broker().send_to_user("bob", "/queue/x", "secret").await.unwrap();
    ann.send("/topic/barrier", "").await;
}

pub(crate) async fn a_session_ends_with_its_token(place: Place) {
    let world = World::new(place, || with_users(&[])).await;
    let short = token("ann", &json!({ "exp": now() + 2 }));
    let mut client = world.connected(&[("passcode", &short)]).await;
    client.send("/topic/a", "in time").await;
    assert_eq!(client.closed().await, 4511);
}
