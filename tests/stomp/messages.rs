//! What is sent, and what arrives.

use sockhop::stomp::Broker;
use sockhop::store::Once;
use sockhop_stomp::{Command, Frame};

use crate::world::{Place, World, send, service, subscribe};

pub(crate) async fn a_topic_reaches_all_its_subscribers_in_order(place: Place) {
    let world = World::new(place, service).await;
    let mut subscribers = Vec::new();
    for _ in 0..3 {
        let mut subscriber = world.connected(&[]).await;
        subscriber.subscribe("sub-0", "/topic/greetings").await;
        subscribers.push(subscriber);
    }
    let mut sender = world.connected(&[]).await;
    for number in 0..20 {
        sender.send("/topic/greetings", &number.to_string()).await;
    }
    for subscriber in &mut subscribers {
        let mut ids = Vec::new();
        for number in 0..20 {
            let message = subscriber.expect(Command::Message).await;
            assert_eq!(message.body, number.to_string());
            assert_eq!(message.headers.get("destination"), Some("/topic/greetings"));
            ids.push(message.headers.get("message-id").unwrap().to_owned());
        }
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 20, "each message has an id of its own");
    }
}

pub(crate) async fn several_subscriptions_of_one_session_to_one_topic_each_get_the_message(place: Place) {
    let world = World::new(place, service).await;
    let mut client = world.connected(&[]).await;
    client.subscribe("a", "/topic/x").await;
    client.subscribe("b", "/topic/x").await;
    for body in ["1", "2"] {
        world.broker().send("/topic/x", body).await.unwrap();
        let mut ids = [client.message().await, client.message().await];
        ids.sort();
        let expected = |id: &str| (id.to_owned(), "/topic/x".to_owned(), body.to_owned());
        assert_eq!(ids, [expected("a"), expected("b")]);
    }
}

pub(crate) async fn headers_and_bodies_arrive_as_they_were_sent(place: Place) {
    let world = World::new(place, service).await;
    let mut client = world.connected(&[]).await;
    client.subscribe("a:b\\c", "/topic/ü.x").await;
    let body = "{\"text\":\"line\nä 😀\0 \\ \u{2028}\"}";
    let sent = send("/topic/ü.x", body)
        .with("content-type", "application/json")
        .with("priority:1", "a:b\\c\r\n")
        .with("content-length", body.len().to_string())
        .with("subscription", "forged")
        .with("message-id", "forged");
    client.frame(sent).await;
    let message = client.expect(Command::Message).await;
    assert_eq!(message.body, body);
    for (name, value) in [
        ("content-type", "application/json"),
        ("priority:1", "a:b\\c\r\n"),
        ("subscription", "a:b\\c"),
        ("destination", "/topic/ü.x"),
    ] {
        assert_eq!(message.headers.get(name), Some(value), "{name}");
    }
    assert_eq!(message.headers.iter().filter(|(_, value)| *value == "forged").count(), 0);
}

pub(crate) async fn versions_speak_with_each_other(place: Place) {
    let world = World::new(place, service).await;
    let mut old = world.connected(&[("accept-version", "1.0")]).await;
    let mut middle = world.connected(&[("accept-version", "1.1")]).await;
    old.text("SUBSCRIBE\ndestination:/topic/v\nreceipt:r\n\n\0").await;
    old.expect(Command::Receipt).await;
    middle.subscribe("m", "/topic/v").await;
    let mut new = world.connected(&[]).await;
    new.frame(send("/topic/v", "x").with("a", "b:c\\\nd")).await;
    assert_eq!(middle.expect(Command::Message).await.headers.get("a"), Some("b:c\\\nd"));
    let message = old.expect(Command::Message).await;
    assert_eq!(message.headers.get("a"), Some("b:c\\ d"), "1.0 has no line feeds in headers");
    assert_eq!(message.headers.get("subscription"), None, "it was not named");
    old.text("UNSUBSCRIBE\ndestination:/topic/v\nreceipt:r2\n\n\0").await;
    old.expect(Command::Receipt).await;
}

pub(crate) async fn the_application_sends_to_topics(place: Place) {
    let world = World::new(place, service).await;
    let mut client = world.connected(&[]).await;
    client.subscribe("0", "/topic/news").await;
    let published = world.broker().send("/topic/news", "hello").await.unwrap();
    let message = client.expect(Command::Message).await;
    assert_eq!(message.body, "hello");
    assert_eq!(message.headers.get("message-id"), Some(published.last.to_string().as_str()));
    for wrong in ["/app/x", "/topic/*", "news"] {
        assert!(world.broker().send(wrong, "x").await.is_err(), "{wrong}");
    }
}

pub(crate) async fn a_transaction_is_sent_when_it_is_committed(place: Place) {
    let world = World::new(place, service).await;
    let mut client = world.connected(&[]).await;
    client.subscribe("0", "/topic/t").await;
    let transaction = |command| Frame::new(command).with("transaction", "t:1");
    client.receipted(transaction(Command::Begin)).await;
    for body in ["1", "2"] {
        client.receipted(send("/topic/t", body).with("transaction", "t:1")).await;
    }
    client.receipted(send("/topic/t", "before")).await;
    assert_eq!(client.message().await.2, "before");
    client.frame(transaction(Command::Commit)).await;
    assert_eq!((client.message().await.2, client.message().await.2), ("1".into(), "2".into()));
    let (message, _) = client.refused(transaction(Command::Commit)).await;
    assert_eq!(message, "invalid header: transaction", "it is over");
}

pub(crate) async fn a_transaction_that_is_aborted_is_never_sent(place: Place) {
    let world = World::new(place, service).await;
    let mut client = world.connected(&[]).await;
    client.subscribe("0", "/topic/t").await;
    client.receipted(Frame::new(Command::Begin).with("transaction", "t")).await;
    client.receipted(send("/topic/t", "never").with("transaction", "t")).await;
    client.receipted(Frame::new(Command::Abort).with("transaction", "t")).await;
    client.frame(send("/topic/t", "after")).await;
    assert_eq!(client.message().await.2, "after");
}

pub(crate) async fn acknowledging_messages_of_a_topic_is_no_error(place: Place) {
    let world = World::new(place, service).await;
    let mut client = world.connected(&[]).await;
    client.receipted(subscribe("0", "/topic/a").with("ack", "client")).await;
    client.frame(send("/topic/a", "x")).await;
    let message = client.expect(Command::Message).await;
    let id = message.headers.get("ack").expect("a name to acknowledge it by").to_owned();
    client.receipted(Frame::new(Command::Ack).with("id", id.as_str())).await;
    client.receipted(Frame::new(Command::Nack).with("id", id.as_str())).await;
    let (message, _) = client.refused(Frame::new(Command::Ack)).await;
    assert_eq!(message, "missing header: id");
}

pub(crate) async fn a_subscription_after_a_message_gets_what_came_since(place: Place) {
    let world = World::new(place, service).await;
    let mut first = world.connected(&[]).await;
    first.subscribe("0", "/topic/a").await;
    let mut sender = world.connected(&[]).await;
    for body in 0..10 {
        sender.send("/topic/a", &body.to_string()).await;
    }
    let mut last = String::new();
    for _ in 0..4 {
        last = first.expect(Command::Message).await.headers.get("message-id").unwrap().to_owned();
    }
    let mut second = world.connected(&[]).await;
    second.receipted(subscribe("again", "/topic/a").with("after", last.as_str())).await;
    sender.send("/topic/a", "10").await;
    for body in 4..=10 {
        assert_eq!(second.message().await, ("again".into(), "/topic/a".into(), body.to_string()));
    }
}

pub(crate) async fn a_subscription_with_a_history_gets_the_newest_first(place: Place) {
    let world = World::new(place, service).await;
    for body in 0..5 {
        world.broker().send("/topic/a", body.to_string()).await.unwrap();
    }
    for (history, from) in [("2", 3), ("0", 5), ("1000", 0)] {
        let mut client = world.connected(&[]).await;
        client.receipted(subscribe("0", "/topic/a").with("history", history)).await;
        for body in from..5 {
            assert_eq!(client.message().await.2, body.to_string(), "history:{history}");
        }
        let mut other = world.connected(&[]).await;
        other.receipted(subscribe("0", "/topic/empty").with("history", history)).await;
    }
}

pub(crate) async fn a_position_that_is_not_kept_is_told(place: Place) {
    let world = World::new(place, service).await;
    world.broker().send("/topic/a", "x").await.unwrap();
    let mut client = world.connected(&[]).await;
    client.frame(subscribe("0", "/topic/a").with("after", "abc-17").with("receipt", "r")).await;
    let error = client.expect(Command::Error).await;
    assert_eq!(error.headers.get("message"), Some("position not kept"));
    assert_eq!(error.headers.get("receipt-id"), Some("r"));
    let oldest = error.headers.get("oldest").unwrap().to_owned();
    let mut client = world.connected(&[]).await;
    client.receipted(subscribe("0", "/topic/a").with("after", oldest)).await;
    assert_eq!(client.message().await.2, "x");
    client.receipted(subscribe("1", "/topic/a").with("after", "abc-17").with("history", "1")).await;
    assert_eq!(client.message().await.2, "x");
    for wrong in ["", "x", "-", "1-", "1-x", "g-1", "1-99999999999999999999"] {
        let mut client = world.connected(&[]).await;
        let (message, _) = client.refused(subscribe("0", "/topic/a").with("after", wrong)).await;
        assert_eq!(message, "invalid header: after", "{wrong:?}");
    }
}

pub(crate) async fn what_the_application_sends_under_an_id_arrives_once(place: Place) {
    let world = World::new(place, service).await;
    let mut client = world.connected(&[]).await;
    client.subscribe("0", "/topic/a").await;
    let mut places = Vec::new();
    for node in world.nodes.iter().cycle().take(4) {
        places.push(Broker::new(node).send_once("/topic/a", "id", "once").await.unwrap().position());
    }
    assert!(places.iter().all(|place| *place == places[0]), "{places:?}");
    let other = world.broker().send_once("/topic/a", "id", "another").await.unwrap();
    assert_eq!(other, Once::Conflict(places[0]));
    world.broker().send("/topic/a", "last").await.unwrap();
    assert_eq!([client.message().await.2, client.message().await.2], ["once", "last"]);
    world.broker().send_once("/app/x", "id", "nowhere").await.unwrap_err();
}
