//! What broken and hostile clients get: an ERROR frame that names the reason, and the end of their session.

use sockhop::stomp::Stomp;
use sockhop_stomp::{Command, Frame};

use crate::world::{Place, World, send, service, subscribe};

pub(crate) async fn what_is_no_frame_is_refused(place: Place) {
    let world = World::new(place, service).await;
    for (text, reason) in [
        ("HELLO\n\n\0", "unknown command \"HELLO\""),
        ("SEND\nno colon\n\n\0", "malformed header line \"no colon\""),
        ("SEND\na:\\t\n\n\0", "undefined escape"),
        ("SEND\ncontent-length:x\n\n\0", "malformed content-length"),
        ("SEND\ncontent-length:1\n\nxy\0", "does not end with a NUL"),
        ("GET / HTTP/1.1\r\n\r\n", "unknown command"),
    ] {
        let mut client = world.connected(&[]).await;
        client.text(text).await;
        let (message, body) = client.error().await;
        assert_eq!(message, "malformed frame");
        assert!(body.contains(reason), "{body}");
    }
    let mut client = world.connected(&[]).await;
    let (message, body) = client.refused(Frame::new(Command::Message)).await;
    assert_eq!((message.as_str(), body.as_str()), ("unexpected frame", "A client does not send MESSAGE."));
}

pub(crate) async fn nothing_comes_before_connect_and_connect_comes_once(place: Place) {
    let world = World::new(place, service).await;
    let mut client = world.client().await;
    let (message, body) = client.refused(send("/topic/a", "x")).await;
    assert_eq!(message, "not connected");
    assert!(body.contains("not SEND"), "{body}");
    let mut client = world.connected(&[]).await;
    let (message, _) = client.refused(Frame::new(Command::Connect).with("accept-version", "1.2")).await;
    assert_eq!(message, "already connected");
}

pub(crate) async fn versions_and_heart_beats_that_are_none_are_refused(place: Place) {
    let world = World::new(place, service).await;
    for version in ["2.0", "", "1.2.1"] {
        let mut client = world.client().await;
        client.frame(Frame::new(Command::Connect).with("accept-version", version)).await;
        let error = client.expect(Command::Error).await;
        assert_eq!(error.headers.get("message"), Some("unsupported version"));
        assert_eq!(error.headers.get("version"), Some("1.0,1.1,1.2"));
        assert_eq!(client.closed().await, 4510);
    }
    for beat in ["", "x", "1", "-1,0", "1,2,3", "99999999999,0"] {
        let mut client = world.client().await;
        let frame = Frame::new(Command::Stomp).with("accept-version", "1.2").with("heart-beat", beat);
        assert_eq!(client.refused(frame).await.0, "invalid header: heart-beat", "{beat:?}");
    }
}

pub(crate) async fn frames_over_the_limit_are_refused(place: Place) {
    let world = World::new(place, || Stomp::new().frame_limit(1000).service("/ws")).await;
    let mut client = world.connected(&[]).await;
    let (message, body) = client.refused(send("/topic/a", &"x".repeat(2000))).await;
    assert_eq!(message, "malformed frame");
    assert!(body.contains("more than 1000 bytes"), "{body}");
    let mut client = world.connected(&[]).await;
    client.text("SEND\ndestination:/topic/a\n\n").await;
    client.text(&"x".repeat(600)).await;
    client.text(&"x".repeat(600)).await;
    assert!(client.error().await.1.contains("more than 1000 bytes"));
    let mut client = world.connected(&[]).await;
    let many = (0..200).fold(send("/topic/a", ""), |frame, number| frame.with(format!("{number}"), ""));
    let (_, body) = client.refused(many).await;
    assert!(body.contains("100 headers") || body.contains("1000 bytes"), "{body}");
    let limited = World::new(place, || Stomp::new().max_headers(3).header_limit(200).service("/ws")).await;
    let mut client = limited.connected(&[]).await;
    let (_, body) = client.refused(send("/topic/a", "").with("a", "").with("b", "").with("c", "")).await;
    assert!(body.contains("3 headers"), "{body}");
    let mut client = limited.connected(&[]).await;
    let (_, body) = client.refused(send("/topic/a", "").with("a", "x".repeat(300))).await;
    assert!(body.contains("200 bytes"), "{body}");
    let mut client = world.connected(&[]).await;
    let (message, _) = client.refused(send("/topic/a", "").with("receipt", "r".repeat(300))).await;
    assert_eq!(message, "invalid header: receipt");
}

pub(crate) async fn destinations_that_are_none_are_refused(place: Place) {
    let world = World::new(place, service).await;
    let long = format!("/topic/{}", "x".repeat(300));
    for (destination, reason) in [
        ("", "unknown destination"),
        ("news", "unknown destination"),
        ("/topic/", "unknown destination"),
        ("/topic/a\nb", "invalid header: destination"),
        (long.as_str(), "invalid header: destination"),
    ] {
        let mut client = world.connected(&[]).await;
        assert_eq!(client.refused(send(destination, "x")).await.0, reason, "{destination:?}");
        let mut client = world.connected(&[]).await;
        assert_eq!(client.refused(subscribe("0", destination)).await.0, reason, "{destination:?}");
    }
    for destination in ["/user/bob/queue/x", "/session/00/queue/x", "/user/", "/user/queue/"] {
        let mut client = world.connected(&[]).await;
        client.refused(subscribe("0", destination)).await;
    }
}

pub(crate) async fn missing_headers_are_named(place: Place) {
    let world = World::new(place, service).await;
    for (frame, header) in [
        (Frame::new(Command::Send), "destination"),
        (Frame::new(Command::Subscribe).with("id", "0"), "destination"),
        (Frame::new(Command::Subscribe).with("destination", "/topic/a"), "id"),
        (Frame::new(Command::Unsubscribe), "id"),
        (Frame::new(Command::Begin), "transaction"),
        (Frame::new(Command::Commit), "transaction"),
        (Frame::new(Command::Abort), "transaction"),
        (Frame::new(Command::Nack), "id"),
    ] {
        let mut client = world.connected(&[]).await;
        let (message, _) = client.refused(frame).await;
        assert_eq!(message, format!("missing header: {header}"));
    }
    let mut client = world.connected(&[]).await;
    let (message, body) = client.refused(subscribe("0", "/topic/a").with("ack", "perhaps")).await;
    assert_eq!(message, "invalid header: ack");
    assert!(body.contains("perhaps"), "{body}");
    let mut client = world.connected(&[]).await;
    client.subscribe("0", "/topic/a").await;
    let (message, _) = client.refused(subscribe("0", "/topic/b")).await;
    assert_eq!(message, "invalid header: id", "twice");
}

pub(crate) async fn subscription_floods_are_refused(place: Place) {
    let world = World::new(place, || service().max_subscriptions(5)).await;
    let mut client = world.connected(&[]).await;
    for number in 0..5 {
        client.subscribe(&number.to_string(), &format!("/topic/{number}")).await;
    }
    let (message, body) = client.refused(subscribe("5", "/topic/0")).await;
    assert_eq!(message, "too many subscriptions");
    assert!(body.contains('5'), "{body}");
}

pub(crate) async fn transactions_that_never_end_are_refused(place: Place) {
    let world = World::new(place, || Stomp::new().transaction_limit(1000).service("/ws")).await;
    let begin = |name: &str| Frame::new(Command::Begin).with("transaction", name);
    let mut client = world.connected(&[]).await;
    for number in 0..16 {
        client.receipted(begin(&number.to_string())).await;
    }
    let (message, body) = client.refused(begin("16")).await;
    assert_eq!(message, "invalid header: transaction");
    assert!(body.contains("16 transactions"), "{body}");
    let mut client = world.connected(&[]).await;
    client.receipted(begin("t")).await;
    client.receipted(send("/topic/a", &"x".repeat(500)).with("transaction", "t")).await;
    let (_, body) = client.refused(send("/topic/a", &"x".repeat(500)).with("transaction", "t")).await;
    assert!(body.contains("1000 bytes"), "{body}");
    for (frames, reason) in [
        (vec![begin("t"), begin("t")], "begun already"),
        (vec![Frame::new(Command::Commit).with("transaction", "u")], "no transaction"),
        (vec![send("/topic/a", "x").with("transaction", "u")], "no transaction"),
    ] {
        let mut client = world.connected(&[]).await;
        for frame in frames {
            client.frame(frame).await;
        }
        let (_, body) = client.error().await;
        assert!(body.contains(reason), "{body}");
    }
}

pub(crate) async fn others_are_undisturbed_by_a_refusal(place: Place) {
    let world = World::new(place, service).await;
    let mut good = world.connected(&[]).await;
    good.subscribe("0", "/topic/a").await;
    let mut bad = world.connected(&[]).await;
    bad.subscribe("0", "/topic/a").await;
    bad.refused(send("nowhere", "x")).await;
    good.send("/topic/a", "still here").await;
    assert_eq!(good.message().await.2, "still here");
}
