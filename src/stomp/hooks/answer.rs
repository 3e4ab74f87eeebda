//! What the application answers, as JSON.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::stomp::destination::is_user_path;
use crate::stomp::{Admission, AppError, AppMessage, Broker, ConnectError, StompMessage};

/// An answer is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its answer is not as documented: {0}")]
pub(super) struct Nonsense(String);

/// To a message.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Handled {
    #[serde(default)]
    send: Vec<Outgoing>,
    #[serde(default)]
    reply: Replies,
    refuse: Option<String>,
}

/// One reply or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Replies {
    One(Outgoing),
    Several(Vec<Outgoing>),
}

impl Default for Replies {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

/// A message that the application has sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outgoing {
    destination: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Value,
}

/// To a client that subscribes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscribed {
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<Value>,
    refuse: Option<String>,
}

/// To a client that connects.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Admitted {
    /// There has to be one, or null: an answer that says nothing lets nobody in.
    #[serde(default, deserialize_with = "present")]
    user: Option<Option<User>>,
    expires: Option<f64>,
    #[serde(default)]
    rules: Vec<String>,
    refuse: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    name: String,
    #[serde(default)]
    claims: Map<String, Value>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<User>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Messages of one answer.
const MOST_MESSAGES: usize = 100;
/// Bytes of all headers of one message, and of a refusal's text.
const MOST_HEADERS: usize = 16 * 1024;
const LONGEST_REFUSAL: usize = 1024;

impl Handled {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Nonsense> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let handled: Self = serde_json::from_slice(body).map_err(|error| Nonsense(error.to_string()))?;
        let replies = handled.reply.all();
        if handled.send.len() + replies.len() > MOST_MESSAGES {
            return Err(Nonsense(format!("more than {MOST_MESSAGES} messages")));
        }
        handled.send.iter().try_for_each(|sent| sent.check(Broker::check(&sent.destination).is_ok()))?;
        replies.iter().try_for_each(|reply| reply.check(is_user_path(&reply.destination)))?;
        Ok(handled)
    }

    /// Does what the application has said, once, also if the call is made again and answered the same. All of it was
    /// checked before.
    pub(super) async fn carry_out(self, message: &AppMessage) -> Result<(), AppError> {
        if let Some(why) = self.refuse {
            return Err(AppError::Refused(shortened(why)));
        }
        for (index, sent) in self.send.into_iter().enumerate() {
            let (destination, id) = (sent.destination.clone(), format!("{}.s{index}", message.id()));
            message.broker().send_once(&destination, id.as_str(), sent.message()).await?;
        }
        for (index, reply) in self.reply.into_all().into_iter().enumerate() {
            let (path, id) = (reply.destination.clone(), format!("{}.r{index}", message.id()));
            message.reply_once(&path, id, reply.message()).await?;
        }
        Ok(())
    }
}

impl Replies {
    fn all(&self) -> &[Outgoing] {
        match self {
            Self::One(reply) => std::slice::from_ref(reply),
            Self::Several(replies) => replies,
        }
    }

    fn into_all(self) -> Vec<Outgoing> {
        match self {
            Self::One(reply) => vec![reply],
            Self::Several(replies) => replies,
        }
    }
}

impl Outgoing {
    fn check(&self, has_destination: bool) -> Result<(), Nonsense> {
        if !has_destination {
            return Err(Nonsense(format!("no destination to send to: {:?}", self.destination)));
        }
        check_headers(&self.headers)
    }

    fn message(self) -> StompMessage {
        message(self.headers, self.body)
    }
}

pub(super) fn message(headers: BTreeMap<String, String>, body: Value) -> StompMessage {
    let (body, is_json) = match body {
        Value::Null => (String::new(), false),
        Value::String(text) => (text, false),
        json => (json.to_string(), true),
    };
    let mut message = StompMessage::new(body);
    if is_json && !headers.contains_key("content-type") {
        message = message.with("content-type", "application/json");
    }
    headers.into_iter().fold(message, |message, (name, value)| message.with(name, value))
}

pub(super) fn check_headers(headers: &BTreeMap<String, String>) -> Result<(), Nonsense> {
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    let is_fit = |name: &String| !name.is_empty() && !name.contains('\0');
    let fits = headers.iter().all(|(name, value)| is_fit(name) && !value.contains('\0'));
    if fits && bytes <= MOST_HEADERS { Ok(()) } else { Err(Nonsense("headers that cannot be sent".to_owned())) }
}

/// What a client that has subscribed gets.
pub(super) fn subscribed(body: &[u8]) -> Result<Result<StompMessage, AppError>, Nonsense> {
    let Subscribed { headers, body, refuse } =
        serde_json::from_slice(body).map_err(|error| Nonsense(error.to_string()))?;
    check_headers(&headers)?;
    match (refuse, body) {
        (Some(why), _) => Ok(Err(AppError::Refused(shortened(why)))),
        (None, Some(body)) => Ok(Ok(message(headers, body))),
        (None, None) => Err(Nonsense("neither body nor refuse".to_owned())),
    }
}

/// Who a client is, as the application answers.
pub(super) fn admission(body: &[u8]) -> Result<Result<Admission, ConnectError>, Nonsense> {
    let Admitted { user, expires, rules, refuse } =
        serde_json::from_slice(body).map_err(|error| Nonsense(error.to_string()))?;
    if let Some(why) = refuse {
        return Ok(Err(ConnectError::Refused(shortened(why))));
    }
    let mut admission = match user {
        None => return Err(Nonsense("neither user nor refuse".to_owned())),
        Some(None) => Admission::anonymous(),
        Some(Some(User { name, claims })) => {
            claims.into_iter().fold(Admission::user(name), |admission, (name, value)| admission.claim(name, value))
        }
    };
    if let Some(seconds) = expires {
        let since = Duration::try_from_secs_f64(seconds).ok().filter(|since| since.as_secs() < 1 << 40);
        let since = since.ok_or_else(|| Nonsense(format!("expires = {seconds}: no time")))?;
        admission = admission.until(UNIX_EPOCH + since);
    }
    for rule in rules {
        let rule = rule.parse().map_err(|error| Nonsense(format!("rules: {rule:?}: {error}")))?;
        admission = admission.rule(rule);
    }
    Ok(Ok(admission))
}

fn shortened(mut text: String) -> String {
    if text.len() > LONGEST_REFUSAL {
        let end = (0..=LONGEST_REFUSAL).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_answer_to_a_message_says_why() {
        for (body, why) in [
            ("<html>", "expected value"),
            ("[]", "invalid"),
            (r#"{"sends":[]}"#, "sends"),
            (r#"{"send":[{"body":"x"}]}"#, "destination"),
            (r#"{"send":[{"destination":"/app/x"}]}"#, "/app/x"),
            (r#"{"send":[{"destination":"/topic/a","headers":{"":"x"}}]}"#, "headers"),
            (r#"{"send":[{"destination":"/topic/a","headers":{"a":"\u0000"}}]}"#, "headers"),
            (r#"{"reply":{"destination":"/topic/../a/queue"}}"#, ""),
            (r#"{"reply":{"destination":"/nowhere"}}"#, "/nowhere"),
        ] {
            let parsed = Handled::parse(body.as_bytes()).map(drop);
            if !why.is_empty() {
                let said = parsed.unwrap_err().to_string();
                assert!(said.contains(why), "{body}: {said}");
            }
        }
        let many = vec![serde_json::json!({"destination": "/topic/a"}); 101];
        let many = serde_json::json!({ "send": many }).to_string();
        assert!(Handled::parse(many.as_bytes()).unwrap_err().to_string().contains("100 messages"));
        for fine in ["", " \n", "{}", r#"{"reply":[{"destination":"/queue/a","body":{"a":1}}],"send":[]}"#] {
            assert!(Handled::parse(fine.as_bytes()).is_ok(), "{fine}");
        }
    }

    #[test]
    fn an_answer_that_does_not_say_who_connects_lets_nobody_in() {
        for (body, why) in [
            ("", "EOF"),
            ("{}", "neither user nor refuse"),
            (r#"{"name":"ann"}"#, "name"),
            (r#"{"user":"ann"}"#, "invalid type"),
            (r#"{"user":{"name":"ann","roles":[]}}"#, "roles"),
            (r#"{"user":null,"rules":["all"]}"#, "ACTION DESTINATION WHO"),
            (r#"{"user":null,"expires":-1}"#, "expires"),
            (r#"{"user":null,"expires":1e300}"#, "expires"),
        ] {
            let said = admission(body.as_bytes()).unwrap_err().to_string();
            assert!(said.contains(why), "{body}: {said}");
        }
        assert_eq!(admission(br#"{"user":null}"#), Ok(Ok(Admission::anonymous())));
        let ann = Admission::user("ann").claim("a", 1).until(UNIX_EPOCH + Duration::from_secs(7));
        let ann = ann.rule("all /topic/** anyone".parse().unwrap());
        let body = br#"{"user":{"name":"ann","claims":{"a":1}},"expires":7,"rules":["all /topic/** anyone"]}"#;
        assert_eq!(admission(body), Ok(Ok(ann)));
        assert_eq!(admission(br#"{"refuse":"no"}"#), Ok(Err(ConnectError::refused("no"))));
    }

    #[test]
    fn the_answers_in_the_documentation_are_taken() {
        let text = include_str!("../../../docs/backend.md");
        let blocks = text.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
        let (mut handled, mut answered, mut admitted) = (0, 0, 0);
        for block in blocks {
            let keys: Map<String, Value> = serde_json::from_str(block).unwrap();
            if keys.contains_key("destination") {
                // A message that a client has sent, or a backend.
            } else if keys.contains_key("user") && !keys.contains_key("event") {
                admission(block.as_bytes()).unwrap().unwrap().check(None).unwrap();
                admitted += 1;
            } else if keys.contains_key("body") && !keys.contains_key("event") {
                subscribed(block.as_bytes()).unwrap().unwrap();
                answered += 1;
            } else if keys.contains_key("send") || keys.contains_key("refuse") {
                Handled::parse(block.as_bytes()).unwrap();
                handled += 1;
            }
        }
        assert_eq!((handled, answered, admitted), (2, 1, 1));
    }

    #[test]
    fn a_refusal_is_cut_between_characters() {
        assert_eq!(shortened("é".repeat(600)).len(), 1024);
        assert_eq!(shortened("x".repeat(1025)).len(), 1024);
        assert_eq!(shortened("why".to_owned()), "why");
    }
}
