//! What reaches clients, in what order, from channels and from handlers.

use std::time::Duration;

use sockhop::store::Retention;
use sockhop::{ChannelName, CloseReason, Handler, Message, Node, Service, Session};

use crate::client::{Poller, chunk};

/// Does what messages say: subscribes, unsubscribes, sends back.
struct Commands;

impl Handler for Commands {
    async fn on_message(&self, session: &Session, message: String) {
        match message.split_once(' ') {
            Some(("sub", channel)) => session.subscribe(&name(channel)).await.unwrap(),
            Some(("unsub", channel)) => session.unsubscribe(&name(channel)).await.unwrap(),
            Some(("close", code)) => {
                session.send("last").await.unwrap();
                session.close(CloseReason::new(code.parse().unwrap(), "bye").unwrap()).await.unwrap();
            }
            _ => session.send(message).await.unwrap(),
        }
    }
}

fn name(channel: &str) -> ChannelName {
    ChannelName::new(channel).unwrap()
}

fn service(node: &Node) -> Service {
    Service::builder("/commands", Commands).build(node)
}

async fn opened(service: &Service, session: &str) -> Poller {
    let client = Poller::new(service, session);
    assert_eq!(client.poll().await, "o");
    client
}

#[tokio::test(start_paused = true)]
async fn messages_between_two_polls_come_in_one_frame() {
    let node = Node::new();
    let client = opened(&service(&node), "s").await;
    client.send(&["a", "b"]).await;
    client.send(&["c"]).await;
    assert_eq!(client.poll().await, r#"a["a","b","c"]"#);
}

#[tokio::test(start_paused = true)]
async fn what_is_published_while_nobody_polls_is_not_lost() {
    let node = Node::new();
    let client = opened(&service(&node), "s").await;
    node.publish(&name("news"), "too early").await.unwrap();
    client.send(&["sub news"]).await;
    for text in ["1", "2"] {
        node.publish(&name("news"), text).await.unwrap();
    }
    assert_eq!(client.poll().await, r#"a["1","2"]"#);
    node.publish(&name("news"), "3").await.unwrap();
    assert_eq!(client.poll().await, r#"a["3"]"#);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_poll_is_answered_by_a_publish() {
    let node = Node::new();
    let service = service(&node);
    let client = opened(&service, "s").await;
    client.send(&["sub news"]).await;
    let waiting = client.at(&service);
    let waiting = tokio::spawn(async move { waiting.poll().await });
    tokio::task::yield_now().await;
    node.publish(&name("news"), "now").await.unwrap();
    assert_eq!(waiting.await.unwrap(), r#"a["now"]"#);
}

#[tokio::test(start_paused = true)]
async fn a_stream_follows_what_its_session_subscribes_to_meanwhile() {
    let node = Node::new();
    let service = service(&node);
    let client = Poller::new(&service, "s");
    let mut stream = client.stream().await;
    assert_eq!(chunk(&mut stream).await.unwrap().len(), 2049);
    assert_eq!(chunk(&mut stream).await.unwrap(), "o\n");
    client.send(&["sub news"]).await;
    node.publish(&name("news"), "1").await.unwrap();
    assert_eq!(chunk(&mut stream).await.unwrap(), "a[\"1\"]\n");
    client.send(&["unsub news", "direct"]).await;
    node.publish(&name("news"), "unheard").await.unwrap();
    assert_eq!(chunk(&mut stream).await.unwrap(), "a[\"direct\"]\n");
    assert_eq!(chunk(&mut stream).await.unwrap(), "h\n", "nothing more came");
}

#[tokio::test(start_paused = true)]
async fn subscribing_again_skips_nothing() {
    let node = Node::new();
    let client = opened(&service(&node), "s").await;
    client.send(&["sub news"]).await;
    node.publish(&name("news"), "before").await.unwrap();
    client.send(&["sub news"]).await;
    node.publish(&name("news"), "after").await.unwrap();
    assert_eq!(client.poll().await, r#"a["before","after"]"#);
    client.send(&["unsub news", "sub news"]).await;
    node.publish(&name("news"), "anew").await.unwrap();
    assert_eq!(client.poll().await, r#"a["anew"]"#);
}

#[tokio::test(start_paused = true)]
async fn last_messages_come_before_the_close() {
    let node = Node::new();
    let service = service(&node);
    let client = opened(&service, "poll").await;
    client.send(&["close 3000"]).await;
    assert_eq!(client.poll().await, r#"a["last"]"#);
    assert_eq!(client.poll().await, r#"c[3000,"bye"]"#);

    let client = Poller::new(&service, "stream");
    let mut stream = client.stream().await;
    chunk(&mut stream).await;
    assert_eq!(chunk(&mut stream).await.unwrap(), "o\n");
    client.send(&["close 3000"]).await;
    assert_eq!(chunk(&mut stream).await.unwrap(), "a[\"last\"]\n");
    assert_eq!(chunk(&mut stream).await.unwrap(), "c[3000,\"bye\"]\n");
    assert_eq!(chunk(&mut stream).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_missed_messages_is_told() {
    let retention = Retention { entries: 2, ..Retention::default() };
    let node = Node::builder().retention(retention).build();
    let client = opened(&service(&node), "s").await;
    client.send(&["sub news"]).await;
    // The node does not follow the channel yet, so that only the store's two entries are left.
    for text in ["1", "2", "3"] {
        node.publish(&name("news"), text).await.unwrap();
    }
    assert_eq!(client.poll().await, r#"c[4504,"Messages were missed"]"#);
    assert_eq!(client.poll().await, r#"c[4504,"Messages were missed"]"#);
}

#[tokio::test(start_paused = true)]
async fn a_laggard_within_the_retention_reads_on_from_the_store() {
    let node = Node::new();
    let client = opened(&service(&node), "s").await;
    client.send(&["sub news"]).await;
    let messages: Vec<_> = (0..3000).map(|number| Message::new(&number.to_string())).collect();
    for messages in messages.chunks(7) {
        node.publish_all(&name("news"), messages).await.unwrap();
    }
    let mut got = Vec::new();
    while got.len() < messages.len() {
        let frame = client.poll().await;
        let batch: Vec<String> = serde_json::from_str(frame.strip_prefix('a').expect("messages")).unwrap();
        got.extend(batch);
    }
    assert!(got.iter().zip(&messages).all(|(got, sent)| got == sent.text()));
}

#[tokio::test(start_paused = true)]
async fn heartbeats_come_when_nothing_else_does() {
    let service = Service::builder("/commands", Commands).heartbeat(Duration::from_secs(3)).build(&Node::new());
    let client = opened(&service, "s").await;
    let before = tokio::time::Instant::now();
    assert_eq!(client.poll().await, "h");
    assert_eq!(before.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_second_receiver_is_refused_and_the_first_undisturbed() {
    let node = Node::new();
    let service = service(&node);
    let client = opened(&service, "s").await;
    let waiting = client.at(&service);
    let waiting = tokio::spawn(async move { waiting.poll().await });
    tokio::task::yield_now().await;
    assert_eq!(client.poll().await, r#"c[2010,"Another connection still open"]"#);
    let mut stream = client.stream().await;
    assert_eq!(chunk(&mut stream).await.unwrap().len(), 2049);
    assert_eq!(chunk(&mut stream).await.unwrap(), "c[2010,\"Another connection still open\"]\n");
    assert_eq!(chunk(&mut stream).await, None);
    client.send(&["still here"]).await;
    assert_eq!(waiting.await.unwrap(), r#"a["still here"]"#);
}

#[tokio::test(start_paused = true)]
async fn channels_keep_what_the_pattern_of_their_names_says() {
    let few = Retention { entries: 2, ..Retention::default() };
    let node = Node::builder().retention_of("few/*".parse().unwrap(), few).build();
    let service = service(&node);
    for (channel, answer) in [("few/a", r#"c[4504,"Messages were missed"]"#), ("many/a", r#"a["1","2","3"]"#)] {
        let client = opened(&service, channel.split_once('/').unwrap().0).await;
        client.send(&[&format!("sub {channel}")]).await;
        for text in ["1", "2", "3"] {
            node.publish(&name(channel), text).await.unwrap();
        }
        assert_eq!(client.poll().await, answer, "{channel}");
    }
}
