//! When and how a handler is called.

use std::sync::Arc;
use std::time::Duration;

use sockhop::{CloseReason, Handler, Node, Service, Session, Transport};
use tokio::sync::{Mutex, Semaphore, mpsc};

use crate::client::{Poller, answered};

/// Writes down its calls; a message waits for a permit, or panics.
struct Diary {
    calls: mpsc::UnboundedSender<String>,
    permits: Arc<Semaphore>,
    kept: Mutex<Vec<Session>>,
}

impl Diary {
    fn new() -> (Self, mpsc::UnboundedReceiver<String>, Arc<Semaphore>) {
        let (calls, heard) = mpsc::unbounded_channel();
        let permits = Arc::new(Semaphore::new(0));
        (Self { calls, permits: Arc::clone(&permits), kept: Mutex::default() }, heard, permits)
    }
}

impl Handler for Diary {
    async fn on_open(&self, session: &Session) {
        self.kept.lock().await.push(session.clone());
        self.calls.send("open".to_owned()).unwrap();
    }

    async fn on_message(&self, session: &Session, message: String) {
        assert_ne!(message, "panic");
        self.calls.send(format!("begin {message}")).unwrap();
        self.permits.acquire().await.unwrap().forget();
        if message == "close" {
            session.close(CloseReason::new(3001, "asked").unwrap()).await.unwrap();
        }
        self.calls.send(format!("end {message}")).unwrap();
    }

    async fn on_close(&self, session: &Session, reason: &CloseReason) {
        assert!(session.send("late").await.is_err());
        self.calls.send(format!("close {}", reason.code())).unwrap();
    }
}

fn service(node: &Node) -> (Service, mpsc::UnboundedReceiver<String>, Arc<Semaphore>) {
    let (diary, heard, permits) = Diary::new();
    (Service::builder("/diary", diary).disconnect_delay(Duration::from_secs(1)).build(node), heard, permits)
}

async fn next(heard: &mut mpsc::UnboundedReceiver<String>) -> String {
    answered(heard.recv()).await.expect("the handler lives")
}

#[tokio::test(start_paused = true)]
async fn calls_come_in_order_and_do_not_overlap() {
    let (service, mut heard, permits) = service(&Node::new());
    let client = Poller::new(&service, "s");
    assert_eq!(client.poll().await, "o");
    assert_eq!(next(&mut heard).await, "open");
    let (first, second) = (client.at(&service), client.at(&service));
    let first = tokio::spawn(async move { first.send(&["1", "2"]).await });
    assert_eq!(next(&mut heard).await, "begin 1");
    let second = tokio::spawn(async move { second.send(&["3"]).await });
    permits.add_permits(3);
    for call in ["end 1", "begin 2", "end 2", "begin 3", "end 3", "close 1001"] {
        assert_eq!(next(&mut heard).await, call);
    }
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (204.try_into().unwrap(), 204.try_into().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_message_is_handled_to_its_end_though_its_client_went_away() {
    let (service, mut heard, permits) = service(&Node::new());
    let client = Poller::new(&service, "s");
    client.poll().await;
    let sender = client.at(&service);
    let sending = tokio::spawn(async move { sender.send(&["1"]).await });
    assert_eq!(next(&mut heard).await, "open");
    assert_eq!(next(&mut heard).await, "begin 1");
    sending.abort();
    permits.add_permits(1);
    assert_eq!(next(&mut heard).await, "end 1");
    permits.add_permits(1);
    assert_eq!(client.send(&["2"]).await, 204, "the session goes on");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_waits_for_its_turn_is_handled_though_its_client_went_away() {
    let (service, mut heard, permits) = service(&Node::new());
    let client = Poller::new(&service, "s");
    client.poll().await;
    let (first, second) = (client.at(&service), client.at(&service));
    let first = tokio::spawn(async move { first.send(&["1"]).await });
    assert_eq!(next(&mut heard).await, "open");
    assert_eq!(next(&mut heard).await, "begin 1");
    let second = tokio::spawn(async move { second.send(&["2"]).await });
    tokio::task::yield_now().await;
    second.abort();
    permits.add_permits(2);
    for call in ["end 1", "begin 2", "end 2"] {
        assert_eq!(next(&mut heard).await, call);
    }
    assert_eq!(first.await.unwrap(), 204);
}

#[tokio::test(start_paused = true)]
async fn on_close_comes_after_the_call_that_closed() {
    let (service, mut heard, permits) = service(&Node::new());
    let client = Poller::new(&service, "s");
    client.poll().await;
    permits.add_permits(1);
    assert_eq!(client.send(&["close"]).await, 204);
    for call in ["open", "begin close", "end close", "close 3001"] {
        assert_eq!(next(&mut heard).await, call);
    }
    assert_eq!(client.poll().await, r#"c[3001,"asked"]"#);
    assert_eq!(client.poll().await, r#"c[3001,"asked"]"#);
    assert_eq!(client.send(&["ignored"]).await, 204);
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_the_session_and_no_other() {
    let (service, mut heard, permits) = service(&Node::new());
    let (clumsy, other) = (Poller::new(&service, "clumsy"), Poller::new(&service, "other"));
    clumsy.poll().await;
    other.poll().await;
    assert_eq!(clumsy.send(&["panic"]).await, 204);
    assert_eq!(clumsy.poll().await, r#"c[4500,"Internal error"]"#);
    permits.add_permits(1);
    assert_eq!(other.send(&["1"]).await, 204);
    let mut calls = Vec::new();
    for _ in ["open", "open", "close 4500", "begin 1", "end 1"] {
        calls.push(next(&mut heard).await);
    }
    calls.sort();
    assert_eq!(calls, ["begin 1", "close 4500", "end 1", "open", "open"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_vanishes_while_it_waits_ends_its_session_at_once() {
    let (service, mut heard, _) = service(&Node::new());
    let client = Poller::new(&service, "s");
    client.poll().await;
    assert_eq!(next(&mut heard).await, "open");
    let waiting = client.at(&service);
    let waiting = tokio::spawn(async move { waiting.poll().await });
    tokio::task::yield_now().await;
    waiting.abort();
    assert_eq!(next(&mut heard).await, "close 1002");
    assert_eq!(client.poll().await, "o", "its id is free");
}

/// Answers what it knows of the request.
struct Mirror;

impl Handler for Mirror {
    async fn on_message(&self, session: &Session, header: String) {
        let request = session.request();
        let known = format!("{} {} {:?}", request.path(), request.query(), request.header(&header));
        let _ = session.send(known).await;
        assert_eq!(request.transport(), Transport::Xhr);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_sees_the_request_but_not_the_session_id() {
    let service = Service::builder("/mirror", Mirror).build(&Node::new());
    let request = http::Request::post("/mirror/0/secret/xhr?room=7")
        .header("user-agent", "test")
        .header("cookie", "not=kept")
        .body(http_body_util::Empty::<bytes::Bytes>::new())
        .unwrap();
    answered(service.respond(request)).await.expect("written");
    let client = Poller::new(&service, "secret");
    client.send(&["user-agent"]).await;
    assert_eq!(client.poll().await, r#"a["/mirror room=7 Some(\"test\")"]"#);
    client.send(&["cookie"]).await;
    assert_eq!(client.poll().await, r#"a["/mirror room=7 None"]"#);
}

/// Counts in an attribute.
struct Counter;

impl Handler for Counter {
    async fn on_message(&self, session: &Session, message: String) {
        let count = session.attribute("count").map_or(0, |count| count.parse().unwrap_or(0)) + 1;
        session.set_attribute("count", count.to_string()).await.unwrap();
        if message == "big" {
            assert!(session.set_attribute("big", "x".repeat(70_000)).await.is_err());
            session.remove_attribute("count").await.unwrap();
        }
        let _ = session.send(format!("{:?}", session.attribute("count"))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn attributes_stay_with_the_session() {
    let service = Service::builder("/count", Counter).build(&Node::new());
    let client = Poller::new(&service, "s");
    client.poll().await;
    for (message, answer) in
        [("1", "Some(\\\"1\\\")"), ("2", "Some(\\\"2\\\")"), ("big", "None"), ("3", "Some(\\\"1\\\")")]
    {
        client.send(&[message]).await;
        assert_eq!(client.poll().await, format!("a[\"{answer}\"]"));
    }
}
