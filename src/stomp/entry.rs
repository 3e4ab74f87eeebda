//! How a STOMP message is kept in a channel, and what subscribers get of it.
//!
//! An entry's text is the message's headers as STOMP 1.2 writes them, an empty line, and the body. A mark may stand before,
//! a line that begins with a backslash and `@` or `<`: for which session alone the message is, or which user has sent
//! it. No header begins so, as a backslash in one stands before another letter. Of the mark, clients are told nothing.

use std::borrow::Cow;
use std::fmt::Write as _;

use sockhop_stomp::{Command, Frame, Headers, Version};
use sockhop_transports::{CloseReason, Message};

use super::broker::StompMessage;
use super::pattern::Pattern;
use super::refusal::Refusal;
use super::tag::{self, AckMode, Tag};
use crate::ChannelName;
use crate::catalogue::News;
use crate::hub::{Farewell, Lead, Render};
use crate::store::{Feed, Position};

/// Renders entries as MESSAGE frames.
#[derive(Debug)]
pub(crate) struct Frames;

/// Headers of a SEND that say something to the server, and not to subscribers; and those that a MESSAGE has anyway.
const NOT_PASSED_ON: [&str; 9] = [
    "destination",
    "receipt",
    "transaction",
    "content-length",
    "message-id",
    "subscription",
    "ack",
    "redelivered",
    "delivery-count",
];

/// How the ids of messages begin that stand in no channel.
pub(super) const ANSWER: &str = "app-";

/// The entry that a message becomes, for all subscribers or for one session.
pub(crate) fn encode(headers: &Headers, body: &str, only: Option<&str>) -> Message {
    encode_behind(only.map(|session| format!("\\@{session}")), headers, body)
}

/// The entry that a message of a user's client becomes.
pub(super) fn encode_from(user: &str, headers: &Headers, body: &str) -> Message {
    let user = percent_encoding::utf8_percent_encode(user, percent_encoding::NON_ALPHANUMERIC);
    encode_behind(Some(format!("\\<{user}")), headers, body)
}

fn encode_behind(mark: Option<String>, headers: &Headers, body: &str) -> Message {
    let text = sockhop_stomp::encode(Command::Message, passed_on(headers), body, Version::V1_2);
    let text = text.strip_prefix("MESSAGE\n").and_then(|text| text.strip_suffix('\0')).unwrap_or_default();
    match mark {
        None => Message::new(text),
        Some(mark) => Message::new(&format!("{mark}\n{text}")),
    }
}

fn passed_on(headers: &Headers) -> impl Iterator<Item = (&str, &str)> + Clone {
    headers.iter().filter(|(name, _)| !NOT_PASSED_ON.contains(name))
}

/// What an entry says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    /// The session that it is for, where it is for one alone.
    pub(super) only: Option<String>,
    /// Whose client has sent it.
    pub(super) user: Option<String>,
    pub(super) headers: Headers,
    pub(super) body: String,
}

/// What an entry says; `None` where it is no STOMP message.
pub(super) fn decode(entry: &Message) -> Option<Decoded> {
    let (mark, rest) = match Mark::of(entry) {
        None => (None, entry.text()),
        Some(kind) => {
            let (mark, rest) = entry.text()[2..].split_once('\n')?;
            (Some((kind, mark)), rest)
        }
    };
    let mut headers = Headers::default();
    let body = read(rest, &mut headers)?;
    let (only, user) = match mark {
        None => (None, None),
        Some((Mark::Only, session)) => (Some(session.to_owned()), None),
        Some((Mark::Sender, user)) => {
            (None, Some(percent_encoding::percent_decode_str(user).decode_utf8().ok()?.into_owned()))
        }
    };
    Some(Decoded { only, user, headers, body })
}

/// What kind of line stands before an entry's headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Only,
    Sender,
}

impl Mark {
    fn of(entry: &Message) -> Option<Self> {
        match entry.quoted().get(1..4) {
            Some(br"\\@") => Some(Self::Only),
            Some(br"\\<") => Some(Self::Sender),
            _ => None,
        }
    }
}

impl Render for Frames {
    fn render(&self, tag: &str, channel: &ChannelName, at: Position, entry: &Message) -> Option<Message> {
        let tag = Tag::parse(tag)?;
        let mut head = head(&tag, &destination(channel), at);
        if let Some((times, first)) = came_back(channel, entry) {
            head.headers.push("redelivered", "true");
            head.headers.push("delivery-count", times);
            return rendered_with(&tag, head, &first);
        }
        rendered_with(&tag, head, entry)
    }

    fn leads(&self, tag: &str) -> bool {
        tag::read_stem(tag).is_some()
    }

    fn lead(&self, tag: &str, entry: &Message) -> Option<Lead> {
        let (pattern, tag) = tag::read_stem(tag)?;
        match News::read(entry)? {
            News::Channel(channel, at) => Pattern::new(pattern)
                .matches(channel.as_str())
                .then(|| Lead::Follow(Feed { channel, tag: Some(tag.into()) }, at)),
            News::Full => farewell(tag, &Refusal::too_many_topics()).map(Lead::End),
        }
    }

    fn too_many(&self, tag: &str, most: usize) -> Option<Farewell> {
        let (pattern, tag) = tag::read_stem(tag)?;
        farewell(tag, &Refusal::too_many_for(pattern, most))
    }
}

/// An entry behind the head of its MESSAGE; `None` where it is for another session.
fn rendered_with(tag: &Tag<'_>, head: Frame, entry: &Message) -> Option<Message> {
    let mark = Mark::of(entry);
    if tag.version == Version::V1_2 && mark != Some(Mark::Only) {
        let head = head.encode(Version::V1_2);
        let lines = usize::from(mark.is_some());
        return Some(Message::joined_behind(head.strip_suffix("\n\0")?, entry, lines, "\0"));
    }
    let mut text = entry.text();
    if let Some(mark) = mark {
        let (marked, rest) = text[2..].split_once('\n')?;
        if mark == Mark::Only && tag.session != Some(marked) {
            return None;
        }
        text = rest;
    }
    let mut frame = head;
    frame.body = read(text, &mut frame.headers)?;
    Some(Message::new(&frame.encode(tag.version)))
}

/// An ERROR frame, and the end.
fn farewell(tag: &str, refusal: &Refusal) -> Option<Farewell> {
    let version = Tag::parse(tag)?.version;
    Some(Farewell {
        message: Message::new(&refusal.frame(None).encode(version)),
        reason: CloseReason::STOMP_ERROR,
    })
}

/// Of a queue's message that was given to somebody before: how often it has been given out, and as it was sent.
fn came_back(channel: &ChannelName, entry: &Message) -> Option<(String, Message)> {
    channel.consumer()?;
    entry.quoted().get(1..4).filter(|mark| *mark == br"\\!")?;
    let (times, first) = entry.text().strip_prefix("\\!")?.split_once('\n')?;
    Some((times.to_owned(), Message::new(first)))
}

/// Adds an entry's headers; its body.
fn read(text: &str, headers: &mut Headers) -> Option<String> {
    let mut decoder = sockhop_stomp::Decoder::new(sockhop_stomp::Limits {
        frame: usize::MAX,
        headers: usize::MAX,
        head: usize::MAX - 1,
    });
    decoder.feed(b"MESSAGE\n");
    decoder.feed(text.as_bytes());
    decoder.feed(b"\0");
    match decoder.next() {
        Ok(Some(sockhop_stomp::Incoming::Frame(frame))) => {
            frame.headers.iter().for_each(|(name, value)| headers.push(name, value));
            Some(frame.body)
        }
        _ => None,
    }
}

/// The MESSAGE that a subscription gets of one that stands in no channel.
pub(super) fn direct(tag: &Tag<'_>, destination: &str, id: &str, message: &StompMessage) -> Frame {
    let mut frame = head_of(tag, destination, id);
    passed_on(&message.headers).for_each(|(name, value)| frame.headers.push(name, value));
    frame.with_body(message.body.as_str())
}

/// The part of a MESSAGE that is the subscription's.
fn head(tag: &Tag<'_>, destination: &str, at: Position) -> Frame {
    head_of(tag, destination, &at.to_string())
}

fn head_of(tag: &Tag<'_>, destination: &str, id: &str) -> Frame {
    let mut id = id.to_owned();
    if tag.ack != AckMode::Auto && tag.version == Version::V1_0 {
        // By which an ACK finds the subscription: it names nothing else.
        let _ = write!(id, " {}", tag.id);
    }
    let mut frame = Frame::new(Command::Message);
    if !(tag.version == Version::V1_0 && tag.id == destination) {
        frame.headers.push("subscription", tag.id);
    }
    frame.headers.push("message-id", id.as_str());
    if tag.ack != AckMode::Auto && tag.version == Version::V1_2 {
        let mut ack = String::with_capacity(id.len() + tag.id.len() + 1);
        let _ = write!(ack, "{id} {}", tag.id);
        frame.headers.push("ack", ack);
    }
    frame.headers.push("destination", destination);
    frame
}

/// The destination that a channel's subscribers know: of a user's, without the name.
fn destination(channel: &ChannelName) -> Cow<'_, str> {
    let name = channel.consumer().map_or(channel.as_str(), |(queue, _)| queue);
    let whose = name.strip_prefix("/user/").or_else(|| name.strip_prefix("/session/"));
    match whose.and_then(|rest| rest.split_once('/')) {
        Some((_, path)) => format!("/user/{path}").into(),
        None => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Epoch;

    const AT: Position = Position { epoch: Epoch(0xab), seq: 7 };

    fn rendered(version: Version, channel: &str, session: Option<&str>, entry: &Message) -> Option<String> {
        let tag = Tag { version, ack: AckMode::Auto, session, queue: None, id: "sub:0" }.text();
        let channel = ChannelName::new(channel).unwrap();
        Frames.render(&tag, &channel, AT, entry).map(|message| message.text().to_owned())
    }

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        pairs.iter().copied().collect()
    }

    #[test]
    fn a_message_carries_what_was_sent_and_where_it_stands() {
        let sent =
            headers(&[("destination", "/topic/a"), ("receipt", "r"), ("a", "b:c\\d"), ("content-length", "2")]);
        let entry = encode(&sent, "hé\0", None);
        for (version, id, value) in [
            (Version::V1_2, "sub\\c0", "b\\cc\\\\d"),
            (Version::V1_1, "sub\\c0", "b\\cc\\\\d"),
            (Version::V1_0, "sub:0", "b:c\\d"),
        ] {
            let text = rendered(version, "/topic/a", None, &entry).unwrap();
            let expected = format!(
                "MESSAGE\nsubscription:{id}\nmessage-id:ab-7\ndestination:/topic/a\na:{value}\ncontent-length:4\n\nhé\0\0"
            );
            assert_eq!(text, expected, "{version}");
        }
    }

    #[test]
    fn a_message_for_one_session_of_a_user_is_for_no_other() {
        let entry = encode(&headers(&[("a", "b")]), "x", Some("5e55"));
        let channel = "/user/a%2Fb/queue/x";
        assert_eq!(rendered(Version::V1_2, channel, Some("0"), &entry), None);
        assert_eq!(rendered(Version::V1_2, channel, None, &entry), None);
        let text = rendered(Version::V1_2, channel, Some("5e55"), &entry).unwrap();
        assert!(text.contains("\ndestination:/user/queue/x\na:b\n") && text.ends_with("\n\nx\0"), "{text:?}");
    }

    #[test]
    fn the_senders_user_is_kept_and_not_told_to_clients() {
        let sent = headers(&[("\\<a", "b\\nc"), ("@x", "y")]);
        let plain = encode(&sent, "x\ny", None);
        for name in ["ann", "a:b\n\\\"@\u{200d}é😀\0", ""] {
            let entry = encode_from(name, &sent, "x\ny");
            for version in [Version::V1_2, Version::V1_1, Version::V1_0] {
                let without = rendered(version, "/topic/a", None, &plain).unwrap();
                assert_eq!(rendered(version, "/topic/a", None, &entry).unwrap(), without, "{name:?} {version}");
            }
            let decoded = decode(&entry).unwrap();
            assert_eq!((decoded.user.as_deref(), decoded.only), (Some(name), None));
            assert_eq!((decoded.headers.get("@x"), decoded.headers.get("\\<a")), (Some("y"), Some("b\\nc")));
            assert_eq!(decoded.body, "x\ny");
        }
        let only = decode(&encode(&sent, "z", Some("5e55"))).unwrap();
        assert_eq!((only.only.as_deref(), only.user, only.body.as_str()), (Some("5e55"), None, "z"));
        assert_eq!(decode(&plain).map(|decoded| (decoded.user, decoded.only)), Some((None, None)));
        assert_eq!(decode(&Message::new("no entry")), None);
    }

    #[test]
    fn only_clients_that_acknowledge_are_told_by_what_name() {
        let entry = encode(&Headers::default(), "", None);
        let channel = ChannelName::new("/topic/a").unwrap();
        for (version, ack, told) in [
            (Version::V1_2, AckMode::Client, true),
            (Version::V1_2, AckMode::Auto, false),
            (Version::V1_1, AckMode::Client, false),
        ] {
            let tag = Tag { version, ack, session: None, queue: None, id: "s" }.text();
            let text = Frames.render(&tag, &channel, AT, &entry).unwrap().text().to_owned();
            assert_eq!(text.contains("\nack:ab-7 s\n"), told, "{text:?}");
        }
    }
}
