//! What clients may take, and what they are told beyond it.

use std::time::Duration;

use http::StatusCode;
use sockhop::services::{Amplify, Broadcast, Echo};
use sockhop::{ChannelName, Handler, Node, Service, Session};

use crate::client::{Poller, text};

#[tokio::test(start_paused = true)]
async fn a_client_that_lets_too_much_wait_is_told_that_it_was_too_slow() {
    let node = Node::new();
    let service = Service::builder("/amplify", Amplify).unread_limit(1000).build(&node);
    let (slow, other) = (Poller::new(&service, "slow"), Poller::new(&service, "other"));
    slow.poll().await;
    other.poll().await;
    assert_eq!(slow.send(&["9", "9", "9"]).await, 204);
    assert_eq!(slow.poll().await, r#"c[4501,"Too slow: unread messages over the limit"]"#);
    assert_eq!(other.send(&["1"]).await, 204);
    assert_eq!(other.poll().await, r#"a["xx"]"#);
    assert_eq!(node.sessions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_too_much_is_told() {
    let service = Service::builder("/echo", Echo).max_messages_per_second(Some(3)).build(&Node::new());
    let client = Poller::new(&service, "s");
    client.poll().await;
    assert_eq!(client.send(&["1", "2", "3"]).await, 204);
    assert_eq!(client.send(&["4"]).await, 204);
    assert_eq!(client.poll().await, r#"a["1","2","3"]"#);
    assert_eq!(client.poll().await, r#"c[4502,"Too many messages"]"#);
}

#[tokio::test(start_paused = true)]
async fn bodies_and_messages_have_a_size() {
    let service = Service::builder("/echo", Echo).message_limit(10).body_limit(30).build(&Node::new());
    let client = Poller::new(&service, "s");
    client.poll().await;
    assert_eq!(client.send(&["0123456789"]).await, StatusCode::NO_CONTENT);
    assert_eq!(client.send(&["0123456789x"]).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(client.send(&["0123456789", "0123456789", "0123456789"]).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(client.poll().await, r#"a["0123456789"]"#, "the session goes on");
}

#[tokio::test(start_paused = true)]
async fn sessions_have_a_number() {
    let node = Node::builder().max_sessions(1).build();
    let service = Service::builder("/echo", Echo).build(&node);
    let first = Poller::new(&service, "first");
    assert_eq!(first.poll().await, "o");
    let request =
        http::Request::post("/echo/0/second/xhr").body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
    let refused = service.respond(request).await.expect("written");
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(text(refused).await, "Too many sessions.");
    assert_eq!(first.send(&["on"]).await, 204);
    assert_eq!(first.poll().await, r#"a["on"]"#);
}

/// Subscribes to as many channels as it may.
struct Greedy;

impl Handler for Greedy {
    async fn on_message(&self, session: &Session, _message: String) {
        let mut subscribed = 0;
        while session.subscribe(&ChannelName::new(&format!("c{subscribed}")).unwrap()).await.is_ok() {
            subscribed += 1;
        }
        let _ = session.send(subscribed.to_string()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn subscriptions_have_a_number() {
    let service = Service::builder("/greedy", Greedy).max_subscriptions(3).build(&Node::new());
    let client = Poller::new(&service, "s");
    client.poll().await;
    client.send(&["go"]).await;
    assert_eq!(client.poll().await, r#"a["3"]"#);
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_passes_over_the_slow_and_reaches_the_others() {
    let node = Node::new();
    let room = Broadcast::new(&node, ChannelName::new("room").unwrap());
    let service = Service::builder("/room", room).unread_limit(1000).build(&node);
    let (slow, quick) = (Poller::new(&service, "slow"), Poller::new(&service, "quick"));
    for client in [&slow, &quick] {
        client.poll().await;
    }
    // A send waits for `on_open`: both are subscribed now.
    for client in [&slow, &quick] {
        assert_eq!(client.send(&[]).await, 204);
    }
    // A stream whose body nobody reads: its client has stopped reading.
    let stalled = slow.stream().await;
    for round in 0..20 {
        tokio::time::advance(Duration::from_millis(200)).await;
        assert_eq!(quick.send(&[&format!("message {round}")]).await, 204);
        assert_eq!(quick.poll().await, format!("a[\"message {round}\"]"));
    }
    let rest = text(stalled).await;
    assert!(rest.ends_with("c[4501,\"Too slow: unread messages over the limit\"]\n"), "{rest}");
}
