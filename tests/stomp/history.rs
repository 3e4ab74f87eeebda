//! What was sent to a destination, page by page.

use std::time::{Duration, SystemTime};

use serde_json::json;
use sockhop::ServiceBuilder;
use sockhop::stomp::{AppError, AppMessage, Cursor, History, HistoryError, Page, Stomp, StompMessage, Tokens};
use sockhop::store::Retention;

use crate::tokens::{SECRET, token};
use crate::world::{Place, World, send};

async fn ask(message: AppMessage) -> Result<(), AppError> {
    message.reply("/queue/x", "for one session").await?;
    message.send_to_user("ann", "/queue/x", "for all of them").await?;
    Ok(())
}

fn service() -> ServiceBuilder {
    let tokens = Tokens::new().secret(SECRET).unwrap();
    Stomp::new().app("/app/ask", ask).tokens(tokens).anonymous(true).service("/ws")
}

fn bodies(page: &History) -> Vec<&str> {
    page.messages.iter().map(|message| message.body.as_str()).collect()
}

pub(crate) async fn history_says_who_sent_what_and_when(place: Place) {
    let world = World::new(place, service).await;
    let before = SystemTime::now() - Duration::from_millis(1);
    let mut ann = world.connected(&[("passcode", &token("ann/:@ é<b>", &json!({})))]).await;
    ann.subscribe("0", "/topic/a").await;
    ann.frame(send("/topic/a", "<b>\n\0").with("x", "y:z").with("x", "hidden")).await;
    let frame = ann.expect(sockhop_stomp::Command::Message).await;
    let told: Vec<_> = frame.headers.iter().map(|(name, _)| name).collect();
    assert_eq!(told, ["subscription", "message-id", "destination", "x", "x", "content-length"]);
    world.broker().send("/topic/a", StompMessage::new("second").with("a", "b")).await.unwrap();
    world.connected(&[]).await.send("/topic/a", "third").await;
    let page = world.broker().history("/topic/a", Page::oldest(10)).await.unwrap();
    assert_eq!(bodies(&page), ["<b>\n\0", "second", "third"]);
    let [first, second, third] = page.messages.as_slice() else { panic!("{page:?}") };
    assert_eq!(first.user.as_deref(), Some("ann/:@ é<b>"));
    assert_eq!((&second.user, &third.user), (&None, &None));
    assert_eq!((first.header("x"), second.header("a")), (Some("y:z"), Some("b")));
    assert_eq!(Some(first.id.as_str()), frame.headers.get("message-id"));
    let times = [before, first.at, second.at, third.at, SystemTime::now()];
    assert!(times.is_sorted(), "{times:?}");
    let written = serde_json::to_value(&page).unwrap();
    let message = &written["messages"][0];
    assert_eq!(message["headers"], json!({ "x": "y:z" }));
    assert_eq!(message["destination"], "/topic/a");
    let at = message["at"].as_str().unwrap();
    assert_eq!(humantime::parse_rfc3339(at).unwrap(), first.at);
    assert!(at.len() == "2026-01-01T00:00:00.000Z".len() && at.ends_with('Z'), "{at}");
    assert!(written["messages"][1].get("user").is_none());
}

pub(crate) async fn pages_of_history_lead_both_ways(place: Place) {
    let world = World::new(place, service).await;
    let broker = world.broker();
    let empty = broker.history("/topic/a", Page::newest(2)).await.unwrap();
    assert_eq!((empty.messages.len(), &empty.previous, &empty.next), (0, &None, &None));
    for number in 1..=5 {
        broker.send("/topic/a", number.to_string()).await.unwrap();
    }
    let newest = broker.history("/topic/a", Page::newest(2)).await.unwrap();
    assert_eq!((bodies(&newest), newest.more, newest.truncated), (vec!["4", "5"], false, false));
    let middle = broker.history("/topic/a", Page::before(newest.previous.unwrap(), 2)).await.unwrap();
    assert_eq!((bodies(&middle), middle.more), (vec!["2", "3"], true));
    let oldest = broker.history("/topic/a", Page::before(middle.previous.unwrap(), 2)).await.unwrap();
    assert_eq!((bodies(&oldest), &oldest.previous), (vec!["1"], &None));
    let forth = broker.history("/topic/a", Page::after(oldest.next.unwrap(), 10)).await.unwrap();
    assert_eq!((bodies(&forth), forth.more), (vec!["2", "3", "4", "5"], false));
    // Where nothing is yet, the page after is asked for again later.
    let end = broker.history("/topic/a", Page::after(forth.next.unwrap(), 10)).await.unwrap();
    assert!(end.messages.is_empty() && !end.more);
    broker.send("/topic/a", "6").await.unwrap();
    let later = broker.history("/topic/a", Page::after(end.next.unwrap(), 10)).await.unwrap();
    assert_eq!(bodies(&later), ["6"]);
    let back = broker.history("/topic/a", Page::before(end.previous.unwrap(), 10)).await.unwrap();
    assert_eq!(bodies(&back), ["1", "2", "3", "4", "5"]);
}

pub(crate) async fn pages_read_while_messages_arrive_show_each_once_and_in_order(place: Place) {
    const COUNT: usize = 200;
    let world = World::new(place, service).await;
    let (broker, publisher) = (world.broker(), sockhop::stomp::Broker::new(&world.nodes[0]));
    publisher.send("/topic/a", "0").await.unwrap();
    let publishing = tokio::spawn(async move {
        for number in 1..COUNT {
            publisher.send("/topic/a", number.to_string()).await.unwrap();
        }
    });
    let numbers = |page: &History| bodies(page).iter().map(|body| body.parse().unwrap()).collect::<Vec<usize>>();
    let mut page = broker.history("/topic/a", Page::oldest(7)).await.unwrap();
    let mut forth = numbers(&page);
    while forth.len() < COUNT {
        let mut back_page = broker.history("/topic/a", Page::newest(20)).await.unwrap();
        let mut back = numbers(&back_page);
        while let Some(previous) = back_page.previous {
            back_page = broker.history("/topic/a", Page::before(previous, 20)).await.unwrap();
            back.splice(0..0, numbers(&back_page));
        }
        assert!(back.iter().copied().eq(0..back.len()), "{back:?}");
        page = broker.history("/topic/a", Page::after(page.next.unwrap(), 7)).await.unwrap();
        forth.extend(numbers(&page));
    }
    assert!(forth.into_iter().eq(0..COUNT));
    publishing.await.unwrap();
}

pub(crate) async fn history_that_goes_while_it_is_paged_is_told(place: Place) {
    let keep = Retention { entries: 10, ..Retention::default() };
    let world = World::keeping(place, keep, service).await;
    let broker = world.broker();
    for number in 1..=20 {
        broker.send("/topic/a", number.to_string()).await.unwrap();
    }
    let newest = broker.history("/topic/a", Page::newest(4)).await.unwrap();
    assert_eq!((bodies(&newest), newest.truncated), (vec!["17", "18", "19", "20"], true));
    let oldest = broker.history("/topic/a", Page::oldest(2)).await.unwrap();
    assert_eq!((bodies(&oldest), &oldest.previous), (vec!["11", "12"], &None));
    for number in 21..=27 {
        broker.send("/topic/a", number.to_string()).await.unwrap();
    }
    let kept = broker.history("/topic/a", Page::oldest(1)).await.unwrap().messages.remove(0);
    assert_eq!(kept.body, "18");
    let gone = Err(HistoryError::Gone { oldest: Some(kept.id) });
    let (previous, next) = (newest.previous.unwrap(), oldest.next.unwrap());
    assert_eq!(broker.history("/topic/a", Page::before(previous, 4)).await, gone);
    assert_eq!(broker.history("/topic/a", Page::after(next, 4)).await, gone);
    assert_eq!(bodies(&broker.history("/topic/a", Page::after(newest.next.unwrap(), 1)).await.unwrap()), ["21"]);
}

pub(crate) async fn cursors_that_are_none_of_the_destination_are_refused(place: Place) {
    let world = World::new(place, service).await;
    let broker = world.broker();
    for destination in ["/topic/a", "/topic/b"] {
        broker.send(destination, "1").await.unwrap();
        broker.send(destination, "2").await.unwrap();
    }
    let cursor = broker.history("/topic/a", Page::newest(1)).await.unwrap().previous.unwrap();
    let forged = cursor.as_str().replace(|digit: char| digit == cursor.as_str().chars().next().unwrap(), "0");
    for (destination, cursor) in [
        ("/topic/b", cursor.clone()),
        ("/user/a/queue/b", cursor),
        ("/topic/a", Cursor::new(format!("{forged}0"))),
        ("/topic/a", Cursor::new("f".repeat(44))),
        ("/topic/a", Cursor::new("../../topic/b")),
        ("/topic/a", Cursor::new("")),
        ("/topic/a", Cursor::new("9".repeat(100_000))),
    ] {
        for page in [Page::before(cursor.clone(), 5), Page::after(cursor, 5)] {
            assert_eq!(broker.history(destination, page).await, Err(HistoryError::Cursor));
        }
    }
    for destination in ["/app/x", "/nowhere", "/topic/*", "/user/a", "", "/session/0/queue/x"] {
        let refused = broker.history(destination, Page::newest(1)).await;
        assert!(matches!(refused, Err(HistoryError::Destination(_))), "{destination}: {refused:?}");
    }
}

pub(crate) async fn what_was_meant_for_one_session_is_in_no_history(place: Place) {
    let world = World::new(place, service).await;
    let mut ann = world.connected(&[("passcode", &token("ann", &json!({})))]).await;
    ann.subscribe("0", "/user/queue/x").await;
    ann.frame(send("/app/ask", "")).await;
    assert_eq!([ann.message().await.2, ann.message().await.2], ["for one session", "for all of them"]);
    let page = world.broker().history("/user/ann/queue/x", Page::newest(10)).await.unwrap();
    assert_eq!(bodies(&page), ["for all of them"]);
    assert_eq!(page.messages[0].destination, "/user/ann/queue/x");
}
