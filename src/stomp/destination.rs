//! Destinations: what a path that a client names stands for.

use super::pattern::{MOST_WILDCARDS, Pattern};
use super::refusal::Refusal;
use crate::ChannelName;
use crate::id::hex;
use crate::store::SessionRef;

/// Where a client's message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// Everybody who is subscribed.
    Topic(ChannelName),
    /// One of those who are subscribed.
    Queue(ChannelName),
    /// A user, at this path (`/queue/…` or `/topic/…`).
    User { name: String, path: String },
    /// The application.
    App,
}

/// What a client subscribes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A topic.
    Topic(ChannelName),
    /// All topics that a pattern stands for.
    Topics(Box<str>),
    /// Who is in a topic.
    Presence(ChannelName),
    /// What the application answers.
    App,
    /// A queue.
    Queue(ChannelName),
    /// What is sent to the client's own user, at this path.
    Own { path: String },
}

const TOPICS: &str = "/topic/";
/// Bytes that a destination may have: with what is put before it, it has to fit into a channel's name.
const LONGEST: usize = 255;

impl Target {
    pub(crate) fn parse(destination: &str) -> Result<Self, Refusal> {
        check(destination)?;
        if destination.contains('*') {
            return Err(invalid(destination, "a message goes to one destination: wildcards are no part of it"));
        }
        if is_below(destination, TOPICS) {
            return Ok(Self::Topic(channel(destination)?));
        }
        if is_below(destination, "/queue/") {
            return Ok(Self::Queue(channel(destination)?));
        }
        if is_below(destination, "/app/") {
            return Ok(Self::App);
        }
        if destination.starts_with("/presence/") {
            return Err(invalid(destination, "presence is told, and nobody can send there"));
        }
        let Some(rest) = destination.strip_prefix("/user/") else { return Err(unknown(destination)) };
        match rest.split_once('/') {
            Some((name, _)) if !name.is_empty() && is_user_path(&rest[name.len()..]) => {
                let path = rest[name.len()..].to_owned();
                Ok(Self::User { name: unescape(name), path })
            }
            _ => Err(invalid(destination, "a user's destination is like /user/NAME/queue/updates")),
        }
    }
}

impl Source {
    pub(crate) fn parse(destination: &str) -> Result<Self, Refusal> {
        check(destination)?;
        if destination.contains('*') {
            if !is_below(destination, TOPICS) {
                return Err(invalid(destination, "wildcards stand for topics only, as in /topic/prices.*"));
            }
            if Pattern::new(destination).wildcards() > MOST_WILDCARDS {
                return Err(invalid(destination, &format!("it may have {MOST_WILDCARDS} wildcards")));
            }
            return Ok(Self::Topics(destination.into()));
        }
        if is_below(destination, TOPICS) {
            return Ok(Self::Topic(channel(destination)?));
        }
        if is_below(destination, "/presence/topic/") {
            return Ok(Self::Presence(channel(destination)?));
        }
        if is_below(destination, "/app/") {
            return Ok(Self::App);
        }
        if is_below(destination, "/queue/") {
            return Ok(Self::Queue(channel(destination)?));
        }
        match destination.strip_prefix("/user") {
            Some(path) if is_user_path(path) => Ok(Self::Own { path: path.to_owned() }),
            Some(path) if path.starts_with('/') => Err(invalid(
                destination,
                "one's own are /user/queue/… and /user/topic/…; those of others cannot be read",
            )),
            _ => Err(unknown(destination)),
        }
    }
}

/// The destination of a user at a path.
pub(crate) fn user_destination(name: &str, path: &str) -> String {
    format!("/user/{}{path}", escape(name))
}

/// The channel of what is sent to a user at a path.
pub(crate) fn user_channel(name: &str, path: &str) -> Result<ChannelName, Refusal> {
    channel(&user_destination(name, path))
}

/// The channel of what is sent to one session without a user at a path.
pub(crate) fn session_channel(session: SessionRef, path: &str) -> Result<ChannelName, Refusal> {
    channel(&format!("/session/{}{path}", session_text(session)))
}

/// What stands for a session in names of channels and in tags.
pub(crate) fn session_text(session: SessionRef) -> String {
    format!("{}{:x}", hex(&session.key.to_bytes()), session.life)
}

fn check(destination: &str) -> Result<(), Refusal> {
    if destination.len() > LONGEST {
        return Err(Refusal::invalid("destination", format!("It is longer than {LONGEST} bytes.")));
    }
    if destination.chars().any(char::is_control) {
        return Err(Refusal::invalid("destination", "It holds a control character."));
    }
    Ok(())
}

fn is_below(destination: &str, prefix: &str) -> bool {
    destination.len() > prefix.len() && destination.starts_with(prefix)
}

pub(crate) fn is_user_path(path: &str) -> bool {
    is_below(path, "/queue/") || is_below(path, "/topic/")
}

fn channel(destination: &str) -> Result<ChannelName, Refusal> {
    ChannelName::new(destination).map_err(|error| invalid(destination, &error.to_string()))
}

fn invalid(destination: &str, why: &str) -> Refusal {
    Refusal::invalid("destination", format!("{destination}: {why}."))
}

fn unknown(destination: &str) -> Refusal {
    let detail = format!(
        "{destination} is none: destinations begin with /topic/, /queue/, /app/ or /user/, subscriptions with /topic/, \
         /queue/, /app/, /presence/topic/, /user/queue/ or /user/topic/."
    );
    Refusal::new("unknown destination", detail)
}

/// A user's name as a part of a path: `/` would end it.
pub(crate) fn escape(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2F")
}

fn unescape(name: &str) -> String {
    name.replace("%2F", "/").replace("%2f", "/").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_messages_go() {
        let user = |name: &str, path: &str| Target::User { name: name.to_owned(), path: path.to_owned() };
        for (destination, target) in [
            ("/topic/a.b", Target::Topic(ChannelName::new("/topic/a.b").unwrap())),
            ("/queue/a.b", Target::Queue(ChannelName::new("/queue/a.b").unwrap())),
            ("/app/hello", Target::App),
            ("/user/bob/queue/x", user("bob", "/queue/x")),
            ("/user/queue/queue/x", user("queue", "/queue/x")),
            ("/user/a%2Fb%252F/topic/x/y", user("a/b%2F", "/topic/x/y")),
        ] {
            assert_eq!(Target::parse(destination), Ok(target), "{destination}");
        }
        for wrong in [
            "",
            "/",
            "/topic",
            "/topic/",
            "topic/a",
            "/queue",
            "/queue/",
            "/queue/*",
            "/user/",
            "/user/bob",
            "/user//queue/x",
            "/user/bob/app/x",
            "/topic/*",
            "/app/",
            "/session/a/queue/x",
            "/topic/a\nb",
        ] {
            assert!(Target::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn only_ones_own_user_destinations_can_be_subscribed_to() {
        let own = |path: &str| Ok(Source::Own { path: path.to_owned() });
        assert_eq!(Source::parse("/user/queue/x"), own("/queue/x"));
        assert_eq!(Source::parse("/user/topic/x"), own("/topic/x"));
        assert_eq!(Source::parse("/queue/a"), Ok(Source::Queue(ChannelName::new("/queue/a").unwrap())));
        for wrong in [
            "/user/bob/queue/x",
            "/queue/**",
            "/user/queue/",
            "/user/",
            "/users/queue/x",
            "/session/a/queue/x",
            "/app/",
        ] {
            assert!(Source::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn wildcards_stand_for_topics_only() {
        for right in ["/topic/*", "/topic/**", "/topic/a.*"] {
            assert_eq!(Source::parse(right), Ok(Source::Topics(right.into())));
        }
        let many = format!("/topic/{}", "*.".repeat(9));
        assert!(Source::parse(&many).unwrap_err().detail.contains("8 wildcards"));
        for wrong in
            ["/**", "/*/a", "/topic*", "/user/**", "/user/queue/*", "/session/**", "/queue/*", "/app/*", "/top*/x"]
        {
            let refusal = Source::parse(wrong).unwrap_err();
            assert!(refusal.detail.contains("wildcards stand for topics only"), "{refusal:?}");
        }
    }

    #[test]
    fn no_user_has_the_channel_of_another() {
        let channel = |name: &str, path: &str| user_channel(name, path).unwrap();
        assert_ne!(channel("a/queue", "/queue/x"), channel("a", "/queue/queue/x"));
        assert_ne!(channel("a%2Fb", "/queue/x"), channel("a/b", "/queue/x"));
    }
}
