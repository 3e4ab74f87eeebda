//! Clients that come back to their session, and what they have not acknowledged.

use std::time::Duration;

use sockhop::ServiceBuilder;
use sockhop_stomp::{Command, Frame};

use crate::world::{Client, Place, World, send, service, subscribe};

const SECRET: &str = "a_secret-of-22-letters";

fn resuming() -> ServiceBuilder {
    service().resume(Some(Duration::from_secs(60)))
}

/// An attempt of the client, which has connected.
async fn attempt(world: &World, name: &str, number: u32) -> Client {
    let mut client = world.client_as(&format!("{SECRET}-{name}~{number}"));
    client.frame(Frame::new(Command::Connect).with("accept-version", "1.2")).await;
    let receipt = format!("attempt {number}");
    client.frame(send("/topic/barrier", "").with("receipt", receipt.as_str())).await;
    // What an attempt before had not confirmed may come first.
    while client.next().await.headers.get("receipt-id") != Some(&*receipt) {}
    client
}

async fn job(client: &mut Client) -> (String, String) {
    let message = client.expect(Command::Message).await;
    (message.body.clone(), message.headers.get("ack").unwrap_or_default().to_owned())
}

fn ack(id: &str) -> Frame {
    Frame::new(Command::Ack).with("id", id)
}

pub(crate) async fn a_topics_messages_that_were_not_acknowledged_come_again(place: Place) {
    let world = World::new(place, resuming).await;
    for (topic, mode, acked, again) in [
        ("/topic/a", "client", 1, &["3", "4"][..]),
        ("/topic/b", "client-individual", 0, &["2", "3", "4"]),
        ("/topic/c", "auto", 3, &[]),
    ] {
        let mut client = attempt(&world, mode, 1).await;
        let frame = subscribe("s", topic).with("ack", mode);
        client.receipted(frame.clone()).await;
        let mut jobs = Vec::new();
        for body in ["1", "2", "3"] {
            world.broker().send(topic, body).await.unwrap();
            jobs.push(job(&mut client).await);
        }
        if mode != "auto" {
            client.receipted(ack(&jobs[acked].1)).await;
        }
        if mode == "client-individual" {
            // What stands behind one that is not acknowledged comes again with it.
            client.receipted(ack(&jobs[2].1)).await;
        }
        let mut client = attempt(&world, mode, 2).await;
        client.frame(frame.clone()).await;
        world.broker().send(topic, "4").await.unwrap();
        for body in again {
            assert_eq!(job(&mut client).await.0, *body, "{topic}");
        }
        // Another destination under the same id, or a new subscription, starts with what is new.
        let mut client = attempt(&world, mode, 3).await;
        client.receipted(subscribe("s", "/topic/other").with("ack", mode)).await;
        client.receipted(Frame::new(Command::Unsubscribe).with("id", "s")).await;
        client.receipted(frame).await;
        client.receipted(Frame::new(Command::Disconnect)).await;
        assert_eq!(client.closed().await, 1000);
    }
}

pub(crate) async fn a_queues_messages_that_were_not_acknowledged_come_again(place: Place) {
    let world = World::new(place, resuming).await;
    let mut client = attempt(&world, "q", 1).await;
    let frame = subscribe("s", "/queue/a").with("ack", "client-individual");
    client.receipted(frame.clone()).await;
    let mut jobs = Vec::new();
    for body in ["1", "2", "3"] {
        world.broker().send("/queue/a", body).await.unwrap();
        jobs.push(job(&mut client).await);
    }
    client.receipted(ack(&jobs[1].1)).await;
    let mut client = attempt(&world, "q", 2).await;
    client.frame(frame).await;
    for body in ["1", "3"] {
        let message = client.expect(Command::Message).await;
        assert_eq!((message.body.as_str(), message.headers.get("redelivered")), (body, Some("true")));
        client.receipted_among(ack(message.headers.get("ack").unwrap())).await;
    }
    let mut client = attempt(&world, "q", 3).await;
    client.receipted(subscribe("s", "/queue/a")).await;
    client.send("/topic/barrier", "").await;
}

pub(crate) async fn a_queues_message_that_came_before_the_client_had_connected_anew_comes_again(place: Place) {
    let world = World::new(place, resuming).await;
    let mut client = attempt(&world, "q", 1).await;
    client.subscribe("s", "/queue/a").await;
    drop(client);
    // `o`, and then what waits, each of which the next poll confirms: the client has not subscribed to anything yet.
    let mut client = world.client_as(&format!("{SECRET}-q~2"));
    world.broker().send("/queue/a", "1").await.unwrap();
    while client.next().await.command != Command::Message {}
    client.frame(Frame::new(Command::Connect).with("accept-version", "1.2")).await;
    client.expect(Command::Connected).await;
    client.frame(subscribe("s", "/queue/a")).await;
    let message = client.expect(Command::Message).await;
    assert_eq!((message.body.as_str(), message.headers.get("redelivered")), ("1", Some("true")));
}
