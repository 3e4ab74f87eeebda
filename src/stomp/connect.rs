//! Who a connecting client is and what it may do, as the application says.

use std::future::Future;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use sockhop_stomp::Headers;

use super::broker::Broker;
use super::rules::Rule;
use super::users::Principal;
use crate::store::SessionRef;
use crate::{RequestInfo, Session};

/// Says who a connecting client is. Functions are handlers; see [`Stomp::on_connect`](super::Stomp::on_connect).
///
/// The client's next frame waits for it. It is asked for each CONNECT: again if the node that asks dies, and when a
/// client that has resumed its session connects anew.
pub trait ConnectHandler: Send + Sync + 'static {
    /// Says who the client is; an error ends its connection with an ERROR frame.
    fn handle(&self, connect: Connect) -> BoxFuture<'static, Result<Admission, ConnectError>>;
}

impl<F, R> ConnectHandler for F
where
    F: Fn(Connect) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Admission, ConnectError>> + Send + 'static,
{
    fn handle(&self, connect: Connect) -> BoxFuture<'static, Result<Admission, ConnectError>> {
        Box::pin(self(connect))
    }
}

/// A client that wants to connect. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Connect(Arc<Inner>);

struct Inner {
    session: Session,
    user: Option<Principal>,
    headers: Headers,
}

/// The headers hold what the client shows who it is with.
impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("session", &self.session).field("user", &self.user).finish_non_exhaustive()
    }
}

/// Who a client is and what it may do: kept with its session, and so on every node.
#[derive(Debug, Clone, PartialEq)]
pub struct Admission {
    name: Option<String>,
    claims: Map<String, Value>,
    until: Option<u64>,
    rules: Vec<Rule>,
}

/// A client is not let in: its connection ends with an ERROR frame, and the session with 4510.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The application says no; the client reads why.
    #[error("{0}")]
    Refused(String),
    /// The application cannot say now; the client may try again.
    #[error("the application cannot say who clients are")]
    Unavailable,
}

impl ConnectError {
    /// The application says no.
    #[must_use]
    pub fn refused(why: impl Into<String>) -> Self {
        Self::Refused(why.into())
    }
}

impl Connect {
    pub(super) fn new(session: &Session, user: Option<Principal>, headers: &Headers) -> Self {
        Self(Arc::new(Inner { session: session.clone(), user, headers: headers.clone() }))
    }

    /// The header `login` of the CONNECT frame.
    #[must_use]
    pub fn login(&self) -> Option<&str> {
        self.header("login")
    }

    /// The header `passcode` of the CONNECT frame.
    #[must_use]
    pub fn passcode(&self) -> Option<&str> {
        self.header("passcode")
    }

    /// The header `host` of the CONNECT frame.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.header("host")
    }

    /// A header of the CONNECT frame.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.headers.get(name)
    }

    /// All headers of the CONNECT frame, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.headers.iter()
    }

    /// The request that opened the session.
    #[must_use]
    pub fn request(&self) -> &RequestInfo {
        self.0.session.request()
    }

    /// Who the client's token says that it is.
    #[must_use]
    pub fn user(&self) -> Option<&Principal> {
        self.0.user.as_ref()
    }

    /// What would hold without the handler: the user of the token, or nobody.
    #[must_use]
    pub fn admission(&self) -> Admission {
        match self.user() {
            None => Admission::anonymous(),
            Some(Principal { name, claims, until }) => {
                Admission { name: Some(name.clone()), claims: claims.clone(), until: *until, rules: Vec::new() }
            }
        }
    }

    /// What stands for the client's session in maps and logs.
    #[must_use]
    pub fn session(&self) -> SessionRef {
        self.0.session.identity()
    }

    /// The way to all destinations.
    #[must_use]
    pub fn broker(&self) -> Broker {
        Broker::new(&self.0.session.node())
    }
}

impl Admission {
    /// The client is this user. The name has 1 to 128 bytes and no control characters.
    #[must_use]
    pub fn user(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..Self::anonymous() }
    }

    /// The client may connect, but has no user.
    #[must_use]
    pub fn anonymous() -> Self {
        Self { name: None, claims: Map::new(), until: None, rules: Vec::new() }
    }

    /// The user has another claim, for rules and handlers. All claims may have 8 KiB as JSON.
    #[must_use]
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }

    /// The user's session ends then, with 4511; or with its token, if that is earlier. In whole seconds.
    #[must_use]
    pub fn until(mut self, time: SystemTime) -> Self {
        self.until = Some(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
        self
    }

    /// The client may do what this rule allows, beside what the service's rules allow. As soon as there is a rule, of
    /// the service or of the session, what none allows is forbidden. At most 64 rules of 512 bytes.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// What holds for the session, whose token was this user's.
    pub(super) fn check(self, token: Option<&Principal>) -> Result<Admitted, InvalidAdmission> {
        let Self { name, claims, until, rules } = self;
        if rules.len() > MOST_RULES || rules.iter().any(|rule| rule.to_string().len() > LONGEST_RULE) {
            return Err(InvalidAdmission::Rules);
        }
        let rules = rules.into_boxed_slice();
        let Some(name) = name else { return Ok(Admitted { user: None, rules }) };
        if !Principal::is_name(&name) {
            return Err(InvalidAdmission::Name);
        }
        // A token's own were taken as they are.
        let is_tokens = token.is_some_and(|token| token.claims == claims);
        if !is_tokens && serde_json::to_string(&claims).map_or(usize::MAX, |text| text.len()) > MOST_CLAIMS {
            return Err(InvalidAdmission::Claims);
        }
        let until = until.into_iter().chain(token.and_then(|token| token.until)).min();
        Ok(Admitted { user: Some(Principal { name, claims, until }), rules })
    }
}

/// What an admission comes to.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) user: Option<Principal>,
    pub(super) rules: Box<[Rule]>,
}

/// The application says what cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidAdmission {
    #[error("a user's name has 1 to 128 bytes and no control characters")]
    Name,
    #[error("a user's claims have at most {MOST_CLAIMS} bytes as JSON")]
    Claims,
    #[error("a session has at most {MOST_RULES} rules of {LONGEST_RULE} bytes")]
    Rules,
}

/// Bytes of all claims as JSON: as many as a token may have.
const MOST_CLAIMS: usize = 8 * 1024;
/// Rules of one session, and bytes of one.
const MOST_RULES: usize = 64;
const LONGEST_RULE: usize = 512;

/// The handler of a service.
pub(super) struct Handler(pub(super) Arc<dyn ConnectHandler>);

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ConnectHandler")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> Rule {
        "all /topic/** anyone".parse().unwrap()
    }

    #[test]
    fn what_the_application_says_is_limited() {
        let long = format!("all /topic/{} anyone", "x".repeat(512)).parse().unwrap();
        let rules = (0..65).fold(Admission::anonymous(), |admission, _| admission.rule(rule()));
        for (admission, error) in [
            (Admission::user(""), InvalidAdmission::Name),
            (Admission::user("a\nb"), InvalidAdmission::Name),
            (Admission::user("x".repeat(129)), InvalidAdmission::Name),
            (Admission::user("ann").claim("x", "x".repeat(8192)), InvalidAdmission::Claims),
            (Admission::anonymous().rule(long), InvalidAdmission::Rules),
            (rules, InvalidAdmission::Rules),
        ] {
            assert_eq!(admission.check(None).unwrap_err(), error);
        }
    }

    #[test]
    fn a_session_ends_with_its_token_or_earlier() {
        let at = |seconds| UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        let token = Principal { name: "ann".to_owned(), claims: Map::new(), until: Some(100) };
        for (admission, token, until) in [
            (Admission::user("bob"), None, None),
            (Admission::user("bob"), Some(&token), Some(100)),
            (Admission::user("bob").until(at(99)), Some(&token), Some(99)),
            (Admission::user("bob").until(at(101)), Some(&token), Some(100)),
            (Admission::user("bob").until(at(101)), None, Some(101)),
        ] {
            assert_eq!(admission.check(token).unwrap().user.unwrap().until, until);
        }
    }
}
