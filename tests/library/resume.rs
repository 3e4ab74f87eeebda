//! Sessions that are resumed over HTTP.

use std::sync::Arc;
use std::time::Duration;

use sockhop::services::Echo;
use sockhop::store::{MemoryStore, Retention};
use sockhop::{ChannelName, CloseReason, Handler, Node, Service, Session};
use tokio::sync::mpsc;

use crate::client::{Poller, answered, chunk};

const SECRET: &str = "a_secret-of-22-letters";
const WINDOW: Duration = Duration::from_secs(60);

/// Subscribes each session to the news, and says so, and how it ended.
struct News {
    opens: mpsc::UnboundedSender<()>,
    closes: mpsc::UnboundedSender<u16>,
}

impl Handler for News {
    async fn on_open(&self, session: &Session) {
        session.subscribe(&news()).await.unwrap();
        self.opens.send(()).unwrap();
    }

    async fn on_message(&self, session: &Session, message: String) {
        session.send(message).await.unwrap();
    }

    async fn on_close(&self, _session: &Session, reason: &CloseReason) {
        self.closes.send(reason.code()).unwrap();
    }
}

fn news() -> ChannelName {
    ChannelName::new("news").unwrap()
}

struct Place {
    nodes: Vec<Node>,
    services: Vec<Service>,
    opens: mpsc::UnboundedReceiver<()>,
    ends: mpsc::UnboundedReceiver<u16>,
}

impl Place {
    /// Two nodes with one store.
    fn new() -> Self {
        Self::keeping(Retention::default())
    }

    fn keeping(retention: Retention) -> Self {
        let store = Arc::new(MemoryStore::new());
        let (opens, opened) = mpsc::unbounded_channel();
        let (closes, ends) = mpsc::unbounded_channel();
        let nodes: Vec<_> =
            (0..2).map(|_| Node::builder().store(store.clone()).retention(retention).build()).collect();
        let service = |node| {
            Service::builder("/news", News { opens: opens.clone(), closes: closes.clone() })
                .resume(Some(WINDOW))
                .response_limit(4096)
                .unread_limit(10_000)
                .build(node)
        };
        let services = nodes.iter().map(service).collect();
        Self { nodes, services, opens: opened, ends }
    }

    /// A client's attempt, at one node or the other.
    fn attempt(&self, number: usize) -> Poller {
        let marker = if number == 1 { "" } else { "~resume" };
        Poller::new(&self.services[number % 2], &format!("{SECRET}~{number}{marker}"))
    }

    /// Opens the session; it is subscribed.
    async fn open(&mut self) -> Poller {
        self.open_as(self.attempt(1)).await
    }

    async fn open_as(&mut self, client: Poller) -> Poller {
        assert_eq!(client.poll().await, "o");
        answered(self.opens.recv()).await;
        client
    }

    async fn publish(&self, texts: &[&str]) {
        for text in texts {
            self.nodes[0].publish(&news(), *text).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn polls_bring_o_what_was_missed_and_the_mark_one_after_the_other() {
    let mut place = Place::new();
    let first = place.open().await;
    place.publish(&["1", "2"]).await;
    assert_eq!(first.poll().await, r#"a["1","2"]"#);
    assert_eq!(first.send(&["own"]).await, 204);
    place.publish(&["3"]).await;
    let second = place.attempt(2);
    assert_eq!(second.poll().await, "o");
    assert_eq!(second.poll().await, r#"a["own","1","2","3"]"#, "the answer with 1 and 2 may have been lost");
    place.publish(&["4"]).await;
    assert_eq!(second.poll().await, "h", "all that was missed has been replayed");
    assert_eq!(second.poll().await, r#"a["4"]"#);
    assert_eq!(first.send(&["late"]).await, 404, "of an attempt that is over");
    assert_eq!(second.send(&["on"]).await, 204);
    assert_eq!(second.poll().await, r#"a["on"]"#);
    let third = place.attempt(3);
    assert_eq!(third.poll().await, "o");
    assert_eq!(third.poll().await, r#"a["on"]"#);
    assert_eq!(third.poll().await, "h");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_missed_nothing_gets_the_mark_at_once() {
    let mut place = Place::new();
    place.open().await;
    let second = place.attempt(2);
    assert_eq!(second.poll().await, "o");
    assert_eq!(second.poll().await, "h");
    let waiting = tokio::spawn(async move { second.poll().await });
    tokio::task::yield_now().await;
    place.publish(&["new"]).await;
    assert_eq!(waiting.await.unwrap(), r#"a["new"]"#);
}

#[tokio::test(start_paused = true)]
async fn a_stream_brings_o_what_was_missed_and_the_mark() {
    let mut place = Place::new();
    place.open().await;
    place.publish(&["1", "2"]).await;
    let second = place.attempt(2);
    let mut stream = second.stream().await;
    let mut frames = Vec::new();
    for _ in 0..4 {
        frames.push(chunk(&mut stream).await.unwrap());
    }
    assert_eq!(frames[1..], ["o\n", "a[\"1\",\"2\"]\n", "h\n"]);
    place.publish(&["3"]).await;
    assert_eq!(chunk(&mut stream).await.unwrap(), "a[\"3\"]\n");
    drop(stream);
    let mut stream = place.attempt(3).stream().await;
    chunk(&mut stream).await;
    assert_eq!(chunk(&mut stream).await.unwrap(), "o\n");
    assert_eq!(chunk(&mut stream).await.unwrap(), "a[\"1\",\"2\",\"3\"]\n", "no later request has confirmed them");
}

#[tokio::test(start_paused = true)]
async fn a_replay_over_several_streams_has_one_heartbeat_and_that_at_its_end() {
    let mut place = Place::new();
    place.open().await;
    let large = "x".repeat(2000);
    place.publish(&[&large, &large, &large]).await;
    assert_eq!(place.attempt(1).send(&[&large]).await, 204);
    let second = place.attempt(2);
    let prelude = format!("{}\n", "h".repeat(2048));
    let (mut streams, mut frames) = (0, Vec::new());
    while frames.last().is_none_or(|frame| frame != "h") {
        streams += 1;
        let mut stream = second.stream().await;
        assert_eq!(chunk(&mut stream).await.unwrap() == prelude, streams == 1, "later preludes are no heartbeats");
        while frames.last().is_none_or(|frame| frame != "h")
            && let Some(frame) = chunk(&mut stream).await
        {
            frames.push(frame.trim_end().to_owned());
        }
    }
    assert!(streams > 1);
    assert_eq!(frames.concat().matches(&large).count(), 4);
    assert_eq!(frames.iter().filter(|frame| *frame == "h").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_later_attempt_ends_the_older_receiver_without_a_byte() {
    let mut place = Place::new();
    let first = place.open().await;
    let request = http::Request::post(format!("/news/000/{SECRET}~1/xhr"))
        .body(http_body_util::Empty::<bytes::Bytes>::new())
        .unwrap();
    let service = place.services[1].clone();
    let waiting = tokio::spawn(async move { service.respond(request).await.is_err() });
    tokio::task::yield_now().await;
    assert_eq!(place.attempt(2).poll().await, "o");
    assert!(answered(waiting).await.unwrap(), "unwritten");
    assert_eq!(first.poll().await, r#"c[4507,"Resumed elsewhere"]"#);
    assert_eq!(place.attempt(2).poll().await, "h", "and that changes nothing");
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_ends_its_session_only_after_the_window() {
    let mut place = Place::new();
    place.open().await;
    for number in [2, 3] {
        let mut stream = place.attempt(number).stream().await;
        chunk(&mut stream).await;
        assert_eq!(chunk(&mut stream).await.unwrap(), "o\n");
        drop(stream);
        tokio::time::sleep(WINDOW - Duration::from_secs(1)).await;
        assert!(place.ends.try_recv().is_err());
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(place.ends.try_recv(), Ok(1001));
    assert_eq!(place.attempt(4).poll().await, r#"c[4506,"Session is gone"]"#);
    tokio::time::sleep(2 * WINDOW).await;
    assert!(place.ends.try_recv().is_err(), "once");
    assert_eq!(place.nodes.iter().map(Node::sessions).sum::<usize>(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_had_the_session_gets_one_whatever_its_attempt() {
    let mut place = Place::new();
    // The first attempt, over a WebSocket, did not get through.
    let second = Poller::new(&place.services[0], &format!("{SECRET}~2"));
    let second = place.open_as(second).await;
    place.publish(&["1"]).await;
    assert_eq!(second.poll().await, r#"a["1"]"#, "without a mark: nothing was missed");
}

#[tokio::test(start_paused = true)]
async fn what_a_channel_no_longer_keeps_is_told_and_then_the_session_is_gone() {
    let mut place = Place::keeping(Retention { entries: 3, ..Retention::default() });
    place.open().await;
    place.publish(&["1", "2", "3"]).await;
    let second = place.attempt(2);
    assert_eq!(second.poll().await, "o");
    assert_eq!(second.poll().await, r#"a["1","2","3"]"#);
    place.publish(&["4"]).await;
    let third = place.attempt(3);
    assert_eq!(third.poll().await, "o");
    assert_eq!(third.poll().await, r#"c[4504,"Messages were missed"]"#);
    assert_eq!(place.ends.recv().await, Some(4504));
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_now_and_then_so_that_its_next_confirms_it() {
    let mut place = Place::keeping(Retention { entries: 8, ..Retention::default() });
    let client = place.open().await;
    let mut number = 0;
    for _ in 0..20 {
        let mut stream = client.stream().await;
        chunk(&mut stream).await;
        let mut got = 0;
        loop {
            place.publish(&[&number.to_string()]).await;
            number += 1;
            let Some(frame) = chunk(&mut stream).await else { break };
            got += 1;
            assert!(frame.starts_with("a["), "{frame}");
        }
        assert!(got >= 1);
    }
    let second = place.attempt(2);
    assert_eq!(second.poll().await, "o");
    assert!(second.poll().await.starts_with("a["), "nothing that the channel does not keep");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_ends_before_what_it_brought_is_past_its_age() {
    let mut place = Place::new();
    let client = place.open().await;
    let mut stream = client.stream().await;
    chunk(&mut stream).await;
    place.publish(&["1"]).await;
    assert_eq!(chunk(&mut stream).await.unwrap(), "a[\"1\"]\n");
    let since = tokio::time::Instant::now();
    while let Some(frame) = chunk(&mut stream).await {
        assert_eq!(frame, "h\n");
    }
    assert!(since.elapsed() < Retention::default().age / 2);
    let mut stream = client.stream().await;
    chunk(&mut stream).await;
    for _ in 0..20 {
        assert_eq!(chunk(&mut stream).await.unwrap(), "h\n", "with nothing to confirm it stays");
    }
    drop(stream);
    let second = place.attempt(2);
    assert_eq!((second.poll().await.as_str(), second.poll().await.as_str()), ("o", "h"));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_an_absent_client_is_limited_and_told() {
    let mut place = Place::new();
    let client = place.open().await;
    for _ in 0..2 {
        assert_eq!(client.send(&[&"x".repeat(6000)]).await, 204);
    }
    assert_eq!(place.ends.recv().await, Some(4501));
    let second = place.attempt(2);
    assert_eq!(second.poll().await, "o");
    assert_eq!(second.poll().await, r#"c[4501,"Too slow: unread messages over the limit"]"#);
}

#[tokio::test(start_paused = true)]
async fn malformed_ids_are_refused_and_sends_to_them_unknown() {
    let place = Place::new();
    for id in ["short~1", &format!("{SECRET}~0"), &format!("{SECRET}~x"), &format!("{SECRET}~1234567890")] {
        let client = Poller::new(&place.services[0], id);
        assert_eq!(client.poll().await, r#"c[4508,"Malformed session id"]"#, "{id}");
        assert_eq!(client.send(&["x"]).await, 404, "{id}");
    }
    assert_eq!(place.nodes[0].sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_guessed_secret_leads_to_no_session() {
    let mut place = Place::new();
    place.open().await;
    for guess in [SECRET.to_owned(), format!("{}~2~resume", SECRET.to_uppercase()), format!("{SECRET}x~2~resume")]
    {
        let client = Poller::new(&place.services[0], &guess);
        let answer = client.poll().await;
        assert!(answer.starts_with("c[4506,") || answer == "o", "{guess}: {answer}");
    }
    let second = place.attempt(2);
    assert_eq!((second.poll().await.as_str(), second.poll().await.as_str()), ("o", "h"), "undisturbed");
}

#[tokio::test(start_paused = true)]
async fn ordinary_ids_are_as_ever_and_so_are_all_ids_without_resume() {
    let mut place = Place::new();
    let plain = Poller::new(&place.services[0], "plain");
    let plain = place.open_as(plain).await;
    let mut stream = plain.stream().await;
    chunk(&mut stream).await;
    drop(stream);
    assert_eq!(place.ends.recv().await, Some(1002), "at once");

    let service = Service::builder("/without", Echo).build(&place.nodes[0]);
    for number in [1, 2, 3] {
        let client = Poller::new(&service, &format!("{SECRET}~{number}~resume"));
        assert_eq!(client.poll().await, "o", "a session of its own");
        assert_eq!(client.send(&["x"]).await, 204);
        assert_eq!(client.poll().await, r#"a["x"]"#);
    }
    assert_eq!(Poller::new(&service, "short~0").poll().await, "o");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_the_browser_repeats_is_known_by_its_url() {
    let mut place = Place::new();
    let client = place.open().await;
    assert_eq!(client.with_query("t=1766780000001").send(&["1"]).await, 204);
    assert_eq!(client.with_query("t=1766780000001").send(&["1"]).await, 204);
    assert_eq!(client.with_query("t=1766780000002").send(&["2"]).await, 204);
    // The answer was lost, and the browser asks again.
    for _ in 0..2 {
        assert_eq!(client.with_query("t=1766780000003").poll().await, r#"a["1","2"]"#);
    }
    place.publish(&["3"]).await;
    assert_eq!(client.with_query("t=1766780000003").poll().await, r#"a["1","2"]"#, "the very same");
    place.publish(&["4"]).await;
    assert_eq!(client.with_query("t=1766780000004").poll().await, r#"a["3","4"]"#);
}

#[tokio::test(start_paused = true)]
async fn eventsource_is_not_offered_to_sessions_that_can_be_resumed() {
    let mut place = Place::new();
    place.open().await;
    for (id, status) in [(format!("{SECRET}~2~resume"), 404), (format!("{SECRET}~1"), 404), ("plain".into(), 200)]
    {
        let request = http::Request::get(format!("/news/000/{id}/eventsource"))
            .body(http_body_util::Empty::<bytes::Bytes>::new())
            .unwrap();
        let response = answered(place.services[0].respond(request)).await.expect("written");
        assert_eq!(response.status(), status, "{id}");
    }
    assert_eq!(place.attempt(2).poll().await, "o", "and nothing has changed");
}
