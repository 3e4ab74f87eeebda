//! Work queues: who gets a message, what an ACK and a NACK do, and what comes back.

use std::time::Duration;

use sockhop::stomp::{Broker, BrokerError, Page, Queues, Stomp};
use sockhop::store::{Once, PublishError, Retention};
use sockhop::{MessageId, ServiceBuilder};
use sockhop_stomp::{Command, Frame, Version};

use crate::world::{Client, Place, World, send, service, subscribe};

/// Clients whose connection is lost are given up on soon.
fn hasty() -> ServiceBuilder {
    service().disconnect_delay(Duration::from_secs(1))
}

fn acknowledging(mode: &str) -> Frame {
    subscribe("w", "/queue/a").with("ack", mode)
}

/// The next message: its body, and by what name it is acknowledged.
async fn job(client: &mut Client) -> (String, String) {
    let message = client.expect(Command::Message).await;
    (message.body.clone(), message.headers.get("ack").unwrap_or_default().to_owned())
}

async fn bodies(client: &mut Client, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    for _ in 0..count {
        bodies.push(client.message().await.2);
    }
    bodies
}

fn ack(id: &str) -> Frame {
    Frame::new(Command::Ack).with("id", id)
}

fn nack(id: &str) -> Frame {
    Frame::new(Command::Nack).with("id", id)
}

pub(crate) async fn each_message_of_a_queue_goes_to_one_subscriber(place: Place) {
    let world = World::new(place, service).await;
    let (mut first, mut second) = (world.connected(&[]).await, world.connected(&[]).await);
    first.subscribe("0", "/queue/a").await;
    second.subscribe("1", "/queue/a").await;
    let mut sender = world.connected(&[]).await;
    for body in 1..=6 {
        sender.send("/queue/a", &body.to_string()).await;
    }
    assert_eq!(bodies(&mut first, 3).await, ["1", "3", "5"]);
    for body in ["2", "4", "6"] {
        assert_eq!(second.message().await, ("1".into(), "/queue/a".into(), body.into()));
    }
    first.send("/topic/barrier", "").await;
}

pub(crate) async fn messages_of_a_queue_wait_until_somebody_subscribes(place: Place) {
    let world = World::new(place, service).await;
    for body in ["1", "2"] {
        world.broker().send("/queue/a", body).await.unwrap();
    }
    let mut client = world.connected(&[]).await;
    client.frame(send("/queue/a", "3").with("priority", "9").with("redelivered", "forged").with("!7", "x")).await;
    client.frame(subscribe("0", "/queue/a")).await;
    assert_eq!(bodies(&mut client, 2).await, ["1", "2"]);
    let message = client.expect(Command::Message).await;
    assert_eq!((message.body.as_str(), message.headers.get("priority")), ("3", Some("9")));
    assert_eq!(message.headers.get("!7"), Some("x"), "no header is taken for a mark");
    for absent in ["redelivered", "delivery-count", "ack"] {
        assert_eq!(message.headers.get(absent), None);
    }
}

pub(crate) async fn what_is_not_acknowledged_goes_to_another_when_its_subscription_ends(place: Place) {
    let world = World::new(place, service).await;
    let mut first = world.connected(&[]).await;
    first.receipted(acknowledging("client-individual")).await;
    for body in ["1", "2", "3"] {
        world.broker().send("/queue/a", body).await.unwrap();
    }
    let jobs = [job(&mut first).await, job(&mut first).await, job(&mut first).await];
    first.receipted(ack(&jobs[1].1)).await;
    first.receipted(Frame::new(Command::Unsubscribe).with("id", "w")).await;
    let mut second = world.connected(&[]).await;
    second.frame(acknowledging("client")).await;
    for body in ["1", "3"] {
        let message = second.expect(Command::Message).await;
        assert_eq!(message.body, body);
        assert_eq!(message.headers.get("redelivered"), Some("true"));
        assert_eq!(message.headers.get("delivery-count"), Some("2"));
        assert_eq!(message.headers.get("destination"), Some("/queue/a"));
    }
    first.receipted(acknowledging("client")).await;
    for body in ["4", "5"] {
        world.broker().send("/queue/a", body).await.unwrap();
    }
    assert_eq!(job(&mut second).await.0, "4");
    assert_eq!(job(&mut first).await.0, "5", "it is one of them again");
}

pub(crate) async fn what_is_not_acknowledged_goes_to_another_when_its_client_disconnects(place: Place) {
    let world = World::new(place, service).await;
    let (mut first, mut second) = (world.connected(&[]).await, world.connected(&[]).await);
    first.receipted(acknowledging("client")).await;
    for body in ["1", "2"] {
        world.broker().send("/queue/a", body).await.unwrap();
    }
    second.receipted(acknowledging("client")).await;
    let (_, id) = job(&mut first).await;
    assert_eq!(job(&mut first).await.0, "2");
    first.receipted(ack(&id)).await;
    first.frame(Frame::new(Command::Disconnect)).await;
    assert_eq!(first.closed().await, 1000);
    assert_eq!(job(&mut second).await.0, "2");
}

pub(crate) async fn what_is_not_acknowledged_goes_to_another_when_its_client_is_lost(place: Place) {
    let world = World::new(place, hasty).await;
    let (mut first, mut second) = (world.connected(&[]).await, world.connected(&[]).await);
    first.receipted(acknowledging("client")).await;
    world.broker().send("/queue/a", "1").await.unwrap();
    assert_eq!(job(&mut first).await.0, "1");
    second.receipted(acknowledging("client")).await;
    drop(first);
    let message = second.expect(Command::Message).await;
    assert_eq!((message.body.as_str(), message.headers.get("redelivered")), ("1", Some("true")));
}

pub(crate) async fn what_a_client_without_acknowledgements_has_got_does_not_come_again(place: Place) {
    let world = World::new(place, hasty).await;
    let mut first = world.connected(&[]).await;
    first.subscribe("0", "/queue/a").await;
    for body in ["1", "2"] {
        world.broker().send("/queue/a", body).await.unwrap();
    }
    assert_eq!(bodies(&mut first, 2).await, ["1", "2"]);
    // Over polls, the next one says so.
    first.send("/topic/barrier", "").await;
    drop(first);
    let mut second = world.connected(&[]).await;
    second.subscribe("0", "/queue/a").await;
    while world.sessions() > 1 {
        second.send("/topic/barrier", "").await;
    }
    second.send("/topic/barrier", "").await;
    world.broker().send("/queue/a", "3").await.unwrap();
    assert_eq!(bodies(&mut second, 1).await, ["3"]);
}

pub(crate) async fn a_client_gets_no_more_than_it_may_have_unacknowledged(place: Place) {
    let world = World::new(place, service).await;
    for body in 1..=5 {
        world.broker().send("/queue/a", body.to_string()).await.unwrap();
    }
    let mut client = world.connected(&[]).await;
    client.frame(acknowledging("client").with("prefetch-count", "2")).await;
    let (_, first) = job(&mut client).await;
    let (_, second) = job(&mut client).await;
    client.send("/topic/barrier", "").await;
    client.frame(ack(&first)).await;
    let (body, third) = job(&mut client).await;
    assert_eq!(body, "3");
    client.frame(ack(&third)).await;
    assert_eq!(bodies(&mut client, 2).await, ["4", "5"], "an ACK says so of all before as well");
    client.receipted(ack(&second)).await;
    client.receipted(ack(&third)).await;
}

pub(crate) async fn clients_that_do_not_acknowledge_are_given_more_as_they_receive(place: Place) {
    let world = World::new(place, service).await;
    let mut client = world.connected(&[]).await;
    client.receipted(subscribe("0", "/queue/a").with("prefetch-count", "3")).await;
    for body in 0..20 {
        world.broker().send("/queue/a", body.to_string()).await.unwrap();
    }
    let expected: Vec<_> = (0..20).map(|body| body.to_string()).collect();
    assert_eq!(bodies(&mut client, 20).await, expected);
}

pub(crate) async fn a_nack_hands_a_message_to_another_or_again_to_the_same(place: Place) {
    let world = World::new(place, service).await;
    let mut first = world.connected(&[]).await;
    first.receipted(acknowledging("client-individual")).await;
    world.broker().send("/queue/a", "1").await.unwrap();
    let (_, id) = job(&mut first).await;
    first.frame(nack(&id)).await;
    let again = first.expect(Command::Message).await;
    assert_eq!((again.body.as_str(), again.headers.get("delivery-count")), ("1", Some("2")));
    first.send("/topic/barrier", "it comes once for each NACK").await;
    let mut second = world.connected(&[]).await;
    second.receipted(acknowledging("client-individual")).await;
    first.receipted(nack(again.headers.get("ack").unwrap())).await;
    let third = second.expect(Command::Message).await;
    assert_eq!((third.body.as_str(), third.headers.get("delivery-count")), ("1", Some("3")));
    second.receipted(ack(third.headers.get("ack").unwrap())).await;
    second.receipted(nack(third.headers.get("ack").unwrap())).await;
    first.send("/topic/barrier", "what was acknowledged does not come again").await;
}

pub(crate) async fn every_version_acknowledges_in_its_own_way(place: Place) {
    let world = World::new(place, service).await;
    for version in ["1.0", "1.1", "1.2"] {
        world.broker().send("/queue/a", "1").await.unwrap();
        world.broker().send("/queue/a", "2").await.unwrap();
        let mut client = world.connected(&[("accept-version", version)]).await;
        client.frame(acknowledging("client").with("prefetch-count", "1")).await;
        for body in ["1", "2"] {
            let message = client.expect(Command::Message).await;
            assert_eq!(message.body, body, "{version}");
            let header = |name: &str| message.headers.get(name).unwrap().to_owned();
            let frame = Frame::new(Command::Ack);
            let frame = match version {
                "1.0" => frame.with("message-id", header("message-id")),
                "1.1" => {
                    frame.with("message-id", header("message-id")).with("subscription", header("subscription"))
                }
                _ => frame.with("id", header("ack")),
            };
            let version = Version::from_number(version).unwrap();
            client.text(&frame.encode(version)).await;
        }
        client.receipted(Frame::new(Command::Unsubscribe).with("id", "w")).await;
    }
    let mut client = world.connected(&[]).await;
    client.frame(subscribe("0", "/queue/a")).await;
    world.broker().send("/queue/a", "all were acknowledged").await.unwrap();
    assert_eq!(client.message().await.2, "all were acknowledged");
}

pub(crate) async fn acknowledgements_in_a_transaction_count_when_it_is_committed(place: Place) {
    let world = World::new(place, service).await;
    let mut client = world.connected(&[]).await;
    client.receipted(acknowledging("client-individual").with("prefetch-count", "1")).await;
    world.broker().send("/queue/a", "1").await.unwrap();
    world.broker().send("/queue/a", "2").await.unwrap();
    let (_, id) = job(&mut client).await;
    let in_transaction = |command| Frame::new(command).with("transaction", "t");
    for end in [Command::Abort, Command::Commit] {
        client.receipted(in_transaction(Command::Begin)).await;
        client.receipted(ack(&id).with("transaction", "t")).await;
        client.receipted(send("/topic/none", "").with("transaction", "t")).await;
        client.frame(in_transaction(end)).await;
    }
    assert_eq!(job(&mut client).await.0, "2");
}

pub(crate) async fn acknowledgements_of_what_nobody_was_given_are_refused(place: Place) {
    let world = World::new(place, service).await;
    let mut other = world.connected(&[]).await;
    other.receipted(acknowledging("client")).await;
    world.broker().send("/queue/a", "1").await.unwrap();
    let (_, id) = job(&mut other).await;
    let (position, _) = id.split_once(' ').unwrap();
    let (epoch, _) = position.split_once('-').unwrap();
    for wrong in [
        "",
        "x",
        "1-1 w",
        &id,
        &format!("{position} other"),
        &format!("{epoch}-99 w"),
        &format!("{epoch}-99999999999999999999 w"),
    ] {
        for command in [Command::Ack, Command::Nack] {
            let mut client = world.connected(&[]).await;
            client.receipted(acknowledging("client")).await;
            let (message, _) = client.refused(Frame::new(command).with("id", wrong)).await;
            assert_eq!(message, "unknown message", "{wrong:?}");
        }
    }
    let mut old = world.connected(&[("accept-version", "1.0")]).await;
    old.text("NACK\nmessage-id:x\n\n\0").await;
    let (message, detail) = old.error().await;
    assert_eq!((message.as_str(), detail.as_str()), ("unexpected frame", "STOMP 1.0 has no NACK."));
    other.receipted(ack(&id)).await;
    other.receipted(Frame::new(Command::Unsubscribe).with("id", "w")).await;
    assert_eq!(other.refused(ack(&id)).await.0, "unknown message", "its subscription has ended");
}

pub(crate) async fn what_a_queue_does_not_have_is_refused(place: Place) {
    let world = World::new(place, service).await;
    let to_queue = || subscribe("0", "/queue/a");
    for (frame, header, reason) in [
        (to_queue().with("after", "1-1"), "after", "no history"),
        (to_queue().with("history", "1"), "history", "no history"),
        (to_queue().with("prefetch-count", "0"), "prefetch-count", "from 1 to 1000"),
        (to_queue().with("prefetch-count", "many"), "prefetch-count", "from 1 to 1000"),
        (subscribe("0", "/queue/*"), "destination", "wildcards"),
        (subscribe("0", "/queue/**"), "destination", "wildcards"),
        (send("/queue/*", ""), "destination", "wildcards"),
        (send(&format!("/queue/{}", "x".repeat(300)), ""), "destination", "longer than 255 bytes"),
    ] {
        let mut client = world.connected(&[]).await;
        let (message, detail) = client.refused(frame).await;
        assert_eq!(message, format!("invalid header: {header}"));
        assert!(detail.contains(reason), "{detail}");
    }
    assert!(world.broker().history("/queue/a", Page::newest(1)).await.is_err());
}

pub(crate) async fn what_is_sent_to_a_queue_under_an_id_comes_once(place: Place) {
    let world = World::new(place, service).await;
    let mut places = Vec::new();
    for node in world.nodes.iter().cycle().take(4) {
        places.push(Broker::new(node).send_once("/queue/a", "id", "once").await.unwrap().position());
    }
    assert!(places.iter().all(|place| *place == places[0]), "{places:?}");
    let broker = world.broker();
    assert_eq!(broker.send_once("/queue/a", "id", "another").await, Ok(Once::Conflict(places[0])));
    let mut client = world.connected(&[]).await;
    client.frame(acknowledging("client")).await;
    let (body, id) = job(&mut client).await;
    client.receipted(ack(&id)).await;
    let again = [("id", "once"), ("new", "last")].map(|(id, body)| (MessageId::of(id), body.into()));
    let outcomes = broker.send_all_once("/queue/a", again).await.unwrap();
    assert!(matches!(outcomes[..], [Once::Repeated(at), Once::Published(_)] if at == places[0]), "{outcomes:?}");
    assert_eq!((body.as_str(), job(&mut client).await.0.as_str()), ("once", "last"));
}

pub(crate) async fn a_full_queue_refuses_messages_until_some_are_acknowledged(place: Place) {
    let few = Retention { entries: 2, ..Retention::default() };
    let world = World::keeping(place, few, service).await;
    let mut client = world.connected(&[]).await;
    client.send("/queue/a", "1").await;
    client.send("/queue/a", "2").await;
    let (message, detail) = client.refused(send("/queue/a", "3")).await;
    assert_eq!(message, "queue full");
    assert!(detail.contains("not accepted"), "{detail}");
    let sent = world.broker().send("/queue/a", "3").await;
    assert_eq!(sent, Err(BrokerError::Publish(PublishError::Full)));
    let mut client = world.connected(&[]).await;
    client.frame(acknowledging("client")).await;
    job(&mut client).await;
    let (_, id) = job(&mut client).await;
    client.receipted(ack(&id)).await;
    client.send("/queue/a", "3").await;
    assert_eq!(job(&mut client).await.0, "3");
}

pub(crate) async fn where_queues_are_topics_each_subscriber_gets_each_message(place: Place) {
    let world = World::with(place, service, |node| node.queues(Queues::Each)).await;
    let (mut first, mut second) = (world.connected(&[]).await, world.connected(&[]).await);
    world.broker().send("/queue/a", "0").await.unwrap();
    first.subscribe("0", "/queue/a").await;
    second.receipted(subscribe("0", "/queue/a").with("history", "1")).await;
    assert_eq!(bodies(&mut second, 1).await, ["0"]);
    first.send("/queue/a", "1").await;
    world.broker().send("/queue/a", "2").await.unwrap();
    for client in [&mut first, &mut second] {
        assert_eq!(bodies(client, 2).await, ["1", "2"]);
    }
    let once = [world.broker(), Broker::new(&world.nodes[0])];
    let at = once[0].send_once("/queue/a", "id", "once").await.unwrap().position();
    assert_eq!(once[1].send_once("/queue/a", "id", "once").await, Ok(Once::Repeated(at)));
    world.broker().send("/queue/a", "last").await.unwrap();
    for client in [&mut first, &mut second] {
        assert_eq!(bodies(client, 2).await, ["once", "last"]);
    }
    second.receipted(Frame::new(Command::Unsubscribe).with("id", "0")).await;
}

pub(crate) async fn rules_say_who_may_use_a_queue(place: Place) {
    let rules = || {
        let rules = ["send /queue/in/** anyone", "subscribe /queue/out anyone"];
        Stomp::new().rules(rules.map(|rule| rule.parse().unwrap())).service("/ws")
    };
    let world = World::new(place, rules).await;
    for frame in [send("/queue/out", "x"), subscribe("0", "/queue/in/a")] {
        let mut client = world.connected(&[]).await;
        assert_eq!(client.refused(frame).await.0, "forbidden");
    }
    let mut client = world.connected(&[]).await;
    client.send("/queue/in/a", "x").await;
    client.subscribe("0", "/queue/out").await;
}

pub(crate) async fn a_queue_has_consumers_on_all_nodes_and_loses_nothing_as_they_come_and_go(place: Place) {
    const JOBS: usize = 60;
    let world = World::new(place, hasty).await;
    for body in 0..JOBS {
        world.broker().send("/queue/a", body.to_string()).await.unwrap();
    }
    let mut done = std::collections::BTreeSet::new();
    let mut round = 0;
    while done.len() < JOBS {
        let mut client = world.connected(&[]).await;
        client.frame(acknowledging("client-individual").with("prefetch-count", "10")).await;
        let mut acknowledged = 0;
        while acknowledged < 7 && done.len() < JOBS {
            let (body, id) = job(&mut client).await;
            if round % 2 == 0 && acknowledged == 3 {
                client.frame(nack(&id)).await;
            } else {
                client.receipted_among(ack(&id)).await;
                assert!(done.insert(body.parse::<usize>().unwrap()), "{body} was acknowledged before");
            }
            acknowledged += 1;
        }
        round += 1;
        match round % 3 {
            0 => drop(client),
            1 => client.frame(Frame::new(Command::Disconnect)).await,
            _ => client.frame(Frame::new(Command::Unsubscribe).with("id", "w")).await,
        }
    }
}
