//! Connecting, heart-beats, disconnecting, and frames however they are cut.

use std::time::Duration;

use sockhop::stomp::Stomp;
use sockhop_stomp::{Command, Frame, Incoming};

use crate::world::{Place, World, send, service};

pub(crate) async fn the_newest_common_version_is_spoken(place: Place) {
    let world = World::new(place, service).await;
    for (accepted, spoken) in [("1.0,1.1,1.2", "1.2"), ("1.1,1.0", "1.1"), ("1.0", "1.0"), ("3.0,1.1", "1.1")] {
        let mut client = world.client().await;
        let connected = client.connect(&[("accept-version", accepted), ("host", "example.com")]).await;
        assert_eq!(connected.headers.get("version"), Some(spoken));
    }
    let mut client = world.client().await;
    client.text("CONNECT\n\n\0").await;
    assert_eq!(client.expect(Command::Connected).await.headers.get("version"), Some("1.0"));
}

pub(crate) async fn frames_may_come_in_halves_and_several_at_once(place: Place) {
    let world = World::new(place, service).await;
    let mut client = world.client().await;
    client.text("CONN").await;
    client.text("ECT\naccept-version:1.2\n\n\0\n").await;
    client.expect(Command::Connected).await;
    client
        .text(
            "SUBSCRIBE\nid:0\ndestination:/topic/a\n\n\0SUBSCRIBE\nid:1\ndestination:/topic/b\n\n\0\n\nSEND\ndest",
        )
        .await;
    client.text("ination:/topic/a\ncontent-length:5\n\na\0").await;
    client.text("b\0c\0SEND\ndestination:/topic/b\nreceipt:r\n\nüb\0").await;
    let mut came = Vec::new();
    for _ in 0..3 {
        let frame = client.next().await;
        came.push(format!("{} {:?}", frame.command, frame.body));
    }
    came.sort();
    assert_eq!(came, ["MESSAGE \"a\\0b\\0c\"", "MESSAGE \"üb\"", "RECEIPT \"\""]);
}

pub(crate) async fn a_disconnect_is_receipted_and_ends_the_session(place: Place) {
    let world = World::new(place, service).await;
    let mut client = world.connected(&[]).await;
    let frames = Frame::new(Command::Disconnect).with("receipt", "77").encode(sockhop_stomp::Version::V1_2);
    client
        .text(&(frames + &send("/topic/a", "ignored").with("receipt", "78").encode(sockhop_stomp::Version::V1_2)))
        .await;
    assert_eq!(client.expect(Command::Receipt).await.headers.get("receipt-id"), Some("77"));
    assert_eq!(client.closed().await, 1000);
}

pub(crate) async fn both_sides_agree_on_heart_beats_and_the_server_keeps_to_them(place: Place) {
    let beats = || {
        let (sends, wants) = (Duration::from_millis(100), Duration::from_secs(7));
        Stomp::new().heart_beat(sends, wants).service("/ws")
    };
    let world = World::new(place, beats).await;
    let mut client = world.client().await;
    let connected = client.connect(&[("heart-beat", "0,200")]).await;
    assert_eq!(connected.headers.get("heart-beat"), Some("100,7000"));
    for _ in 0..3 {
        assert_eq!(client.incoming().await, Some(Incoming::HeartBeat));
    }
    client.send("/topic/a", "the session lives").await;
}

pub(crate) async fn many_subscriptions_of_one_session_end_one_by_one(place: Place) {
    let world = World::new(place, service).await;
    let mut client = world.connected(&[]).await;
    for id in 0..5 {
        client.subscribe(&format!("s{id}"), "/topic/a").await;
    }
    for id in [1, 3, 4] {
        client.receipted(Frame::new(Command::Unsubscribe).with("id", format!("s{id}"))).await;
    }
    client.receipted(Frame::new(Command::Unsubscribe).with("id", "never")).await;
    world.broker().send("/topic/a", "x").await.unwrap();
    let mut ids = [client.message().await.0, client.message().await.0];
    ids.sort();
    assert_eq!(ids, ["s0", "s2"]);
    client.send("/topic/none", "").await;
}
