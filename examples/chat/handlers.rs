//! What a chat needs of its server: who people are, what they say, which rooms there are, and what was said.
//!
//! Nothing is kept in memory. A room is the topic `/topic/chat.ROOM`, whose history is what was said there; the list of
//! rooms is the history of `/topic/chat-rooms`; who is in a room is told at `/presence/topic/chat.ROOM`. So any node answers
//! anybody, and what a page shows outlives the node that served it.
//!
//! | destination | body | what it does |
//! | --- | --- | --- |
//! | `/app/chat/hello` | `{request, rooms}` | answers with the node, and the newest position in each of the rooms |
//! | `/app/chat/rooms` | a room's name | lists the room |
//! | `/app/chat/rooms/ROOM/say` | the text, and a header `id` | says it to everybody there, once for each id |
//! | `/app/chat/rooms/ROOM/history` | `{request, before, limit}` | answers with a page of what was said |
//!
//! Answers go to `/user/queue/chat` of the session that asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sockhop::ChannelPattern;
use sockhop::stomp::{
    Admission, AppError, AppMessage, Broker, Connect, ConnectError, Cursor, HistoryError, Page, PastMessage,
    PresencePattern, Rule, Stomp, StompMessage,
};
use sockhop::store::Retention;

/// The chat's service. Of `node`, clients are told that it is the one that answers.
pub(crate) fn chat(node: Option<String>) -> Stomp {
    let node: Option<Arc<str>> = node.map(Into::into);
    Stomp::new()
        .on_connect(admit)
        .rules(RULES.into_iter().filter_map(|rule| rule.parse::<Rule>().ok()))
        .presence(PEOPLE.parse::<PresencePattern>())
        .app("/app/chat/hello", move |message| hello(message, node.clone()))
        .app("/app/chat/rooms", list_room)
        .app("/app/chat/rooms/{room}/say", say)
        .app("/app/chat/rooms/{room}/history", history)
}

/// What its channels keep: more, and for longer, than others.
pub(crate) fn retention() -> impl Iterator<Item = (ChannelPattern, Retention)> {
    let of = |pattern: &str, retention| pattern.parse().ok().map(|pattern| (pattern, retention));
    let said = Retention { entries: 20_000, bytes: 16 * 1024 * 1024, age: WEEK };
    let rooms = Retention { entries: MOST_ROOMS, bytes: 1024 * 1024, age: 52 * WEEK };
    [of("/topic/chat.*", said), of(ROOMS, rooms)].into_iter().flatten()
}

/// A browser shows its secret as passcode. Of that a mark is made which stands behind the name: so one name may be many
/// people's, nobody can take another's mark, and nothing has to be written down.
async fn admit(connect: Connect) -> Result<Admission, ConnectError> {
    let name = connect.login().unwrap_or_default();
    let secret = connect.passcode().unwrap_or_default();
    if !is_name(name) {
        return Err(ConnectError::refused(format!(
            "As login, a name is needed: 1 to {LONGEST_NAME} letters, digits and signs, without #."
        )));
    }
    if !(16..=128).contains(&secret.len()) {
        return Err(ConnectError::refused("As passcode, a secret of 16 to 128 bytes is needed."));
    }
    let digest = Sha256::new().chain_update("sockhop chat\n").chain_update(secret).finalize();
    let mark: String = digest.iter().take(MARK_BYTES).map(|byte| format!("{byte:02x}")).collect();
    Ok(Admission::user(format!("{name}#{mark}")))
}

#[derive(Deserialize)]
struct Hello {
    request: String,
    rooms: Vec<String>,
}

#[derive(Serialize)]
struct Greeting {
    request: String,
    node: Option<Arc<str>>,
    /// The position of the newest message in each room that has any.
    newest: BTreeMap<String, String>,
}

async fn hello(message: AppMessage, node: Option<Arc<str>>) -> Result<(), AppError> {
    let Hello { request, rooms } = message.json()?;
    if rooms.len() > MOST_ASKED {
        return Err(AppError::refused(format!("At most {MOST_ASKED} rooms can be asked for at once.")));
    }
    let asked = rooms.iter().filter(|room| is_room(room)).map(|room| newest(message.broker(), room));
    let newest = try_join_all(asked).await?.into_iter().flatten().collect();
    answer(&message, &Greeting { request, node, newest }).await
}

async fn newest(broker: &Broker, room: &str) -> Result<Option<(String, String)>, AppError> {
    let page = broker.history(&topic(room), Page::newest(1)).await.map_err(unreadable)?;
    Ok(page.messages.into_iter().next().map(|message| (room.to_owned(), message.id)))
}

async fn list_room(message: AppMessage) -> Result<(), AppError> {
    let room = message.body();
    if !is_room(room) {
        return Err(AppError::refused(NO_ROOM));
    }
    let listed = message.broker().history(ROOMS, Page::newest(MOST_ROOMS)).await.map_err(unreadable)?;
    if listed.messages.iter().all(|entry| entry.body != room) {
        message.broker().send_once(ROOMS, room, room).await?;
    }
    Ok(())
}

/// What everybody in a room gets.
#[derive(Serialize)]
struct Said<'a> {
    /// The sender's own name for it.
    id: &'a str,
    user: &'a str,
    /// Milliseconds since 1970.
    at: u64,
    text: &'a str,
}

#[derive(Serialize)]
struct Refused<'a> {
    refused: &'a str,
    why: &'static str,
}

async fn say(message: AppMessage) -> Result<(), AppError> {
    let Some(id) = message.header("id").filter(|id| is_id(id)) else {
        return Err(AppError::refused("A message needs a header id: 1 to 64 letters, digits or -."));
    };
    let Some(user) = message.user() else { return Err(AppError::refused("Only users can say something.")) };
    let room = message.variable("room").unwrap_or_default();
    let text: String = message.body().trim().chars().filter(|c| !c.is_control() || "\n\t".contains(*c)).collect();
    if let Some(why) = fault(room, &text) {
        return answer(&message, &Refused { refused: id, why }).await;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let said = StompMessage::json(&Said { id, user: user.name(), at, text: &text })?;
    // Whoever lost the connection before the answer says it again, under the same id and perhaps another name.
    let mark = user.name().rsplit('#').next().unwrap_or_default();
    message.broker().send_once(&topic(room), format!("{mark} {id}").as_str(), said).await?;
    Ok(())
}

/// Why something cannot be said, as the page knows it.
fn fault(room: &str, text: &str) -> Option<&'static str> {
    match text.chars().count() {
        _ if !is_room(room) => Some("room"),
        0 => Some("empty"),
        length if length > LONGEST_TEXT => Some("long"),
        _ => None,
    }
}

#[derive(Deserialize)]
struct Ask {
    request: String,
    before: Option<String>,
    limit: usize,
}

#[derive(Serialize, Default)]
struct Pages {
    request: String,
    messages: Vec<Past>,
    /// Leads to what is older, if anything is kept.
    before: Option<Cursor>,
    /// Whether there was something older that is not kept any more.
    truncated: bool,
}

#[derive(Serialize)]
struct Past {
    position: String,
    body: String,
}

async fn history(message: AppMessage) -> Result<(), AppError> {
    let Ask { request, before, limit } = message.json()?;
    let room = message.variable("room").unwrap_or_default();
    if !is_room(room) {
        return Err(AppError::refused(NO_ROOM));
    }
    let limit = limit.min(LARGEST_PAGE);
    let page = before.map_or(Page::newest(limit), |cursor| Page::before(Cursor::new(cursor), limit));
    let pages = match message.broker().history(&topic(room), page).await {
        Ok(page) => Pages {
            request,
            messages: page.messages.into_iter().map(Past::from).collect(),
            before: page.previous,
            truncated: page.truncated,
        },
        Err(HistoryError::Gone { .. }) => Pages { request, truncated: true, ..Pages::default() },
        Err(error) => return Err(unreadable(error)),
    };
    answer(&message, &pages).await
}

impl From<PastMessage> for Past {
    fn from(message: PastMessage) -> Self {
        Self { position: message.id, body: message.body }
    }
}

async fn answer(message: &AppMessage, answer: &impl Serialize) -> Result<(), AppError> {
    message.reply("/queue/chat", StompMessage::json(answer)?).await?;
    Ok(())
}

#[allow(clippy::needless_pass_by_value, reason = "to be used with map_err")]
fn unreadable(error: HistoryError) -> AppError {
    AppError::refused(format!("What was said cannot be read: {error}."))
}

fn topic(room: &str) -> String {
    format!("/topic/chat.{room}")
}

/// Names that can be shown to others: nothing that cannot be seen, or that turns the text around it.
fn is_name(name: &str) -> bool {
    let is_tidy = name.trim() == name && !name.contains("  ") && !name.contains('#');
    let length = name.chars().count();
    is_tidy && (1..=LONGEST_NAME).contains(&length) && !name.chars().any(is_unseen)
}

/// Names that can stand in a destination: letters and digits of any script, `-` and `_`.
fn is_room(room: &str) -> bool {
    let fits = |c: char| match c {
        'a'..='z' | '0'..='9' | '-' | '_' => true,
        _ => !c.is_ascii() && !c.is_whitespace() && !is_unseen(c),
    };
    (1..=LONGEST_ROOM).contains(&room.chars().count()) && room.chars().all(fits)
}

fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Of which topics it is kept who is there.
const PEOPLE: &str = "/topic/chat.*";
/// The topic whose history are the names of the rooms.
const ROOMS: &str = "/topic/chat-rooms";
/// Rooms that are listed; the oldest go.
const MOST_ROOMS: usize = 1000;
/// Rooms that a page may be in.
const MOST_ASKED: usize = 50;
const LARGEST_PAGE: usize = 100;
/// Characters.
const LONGEST_NAME: usize = 24;
const LONGEST_ROOM: usize = 32;
const LONGEST_TEXT: usize = 2000;
/// Enough that nobody finds a secret with the mark of somebody else.
const MARK_BYTES: usize = 8;
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
const NO_ROOM: &str = "A room's name has 1 to 32 small letters, digits, - and _.";

/// What is said goes through the handlers: nobody sends to a topic.
const RULES: [&str; 5] = [
    "send /app/chat/** authenticated",
    "subscribe /topic/chat.* authenticated",
    "subscribe /topic/chat-rooms authenticated",
    "subscribe /presence/topic/chat.* authenticated",
    "subscribe /user/queue/chat authenticated",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_can_be_seen() {
        for name in ["Ann", "안나", "Ann-Marie O'Neill", "<b>Ann</b>", "🙂", &"x".repeat(24)] {
            assert!(is_name(name), "{name}");
        }
        let long = "x".repeat(25);
        for name in ["", " ", "Ann ", "a  b", "a#b", "a\nb", "a\u{202e}b", "a\u{200b}", &long] {
            assert!(!is_name(name), "{name:?}");
        }
    }

    #[test]
    fn rooms_are_one_part_of_a_destination() {
        for room in ["lobby", "대화방", "a-b_1", "équipe", &"x".repeat(32)] {
            assert!(is_room(room), "{room}");
        }
        let long = "x".repeat(33);
        for room in ["", "a.b", "a/b", "*", "a b", "A", "a%2F", "{user}", "a\u{200b}", "a\u{3000}b", &long] {
            assert!(!is_room(room), "{room:?}");
        }
    }

    #[test]
    fn what_cannot_be_said_is_told_by_its_reason() {
        let long = "ü".repeat(2001);
        for (room, text, why) in [
            ("lobby", "hello", None),
            ("lobby", &long[..4000], None),
            ("lobby", "", Some("empty")),
            ("lobby", &long, Some("long")),
            ("a.b", "hello", Some("room")),
        ] {
            assert_eq!(fault(room, text), why, "{room} {}", text.len());
        }
    }

    #[test]
    fn all_rules_and_patterns_can_be_read() {
        assert!(RULES.iter().all(|rule| rule.parse::<Rule>().is_ok()));
        assert_eq!(retention().count(), 2);
        assert!(PEOPLE.parse::<PresencePattern>().is_ok());
    }
}
