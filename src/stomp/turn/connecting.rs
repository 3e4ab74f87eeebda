//! CONNECT: who the client is, what is agreed on, and a conversation that begins anew.

use std::time::Duration;

use sockhop_stomp::{Command, Frame, HeartBeat, Version};

use super::Turn;
use crate::RequestInfo;
use crate::stomp::connect::{Admitted, Connect};
use crate::stomp::refusal::{Refusal, shown};
use crate::stomp::state::Connected;
use crate::stomp::tokens::Tokens;
use crate::stomp::users::Principal;
use crate::stomp::{State, stays};
use crate::store::Terms;

impl Turn<'_> {
    /// A client that has come back to its session connects anew, and subscribes again.
    pub(super) async fn restart(&mut self) -> Result<(), Refusal> {
        self.conversation.forget_acked_elsewhere();
        self.cancel_all().await?;
        while let Some(subscribed) = self.conversation.unsubscribe_any() {
            self.end_subscription(&subscribed).await?;
        }
        self.conversation.restart();
        stays::leave_all(self.session).await
    }

    pub(super) async fn connect(&mut self, frame: &Frame) -> Result<(), Refusal> {
        let version = Version::negotiate(frame.headers.get("accept-version")).map_err(|error| {
            Refusal::new("unsupported version", format!("{error}.")).with("version", "1.0,1.1,1.2")
        })?;
        let theirs = match frame.headers.get("heart-beat") {
            Some(value) => HeartBeat::parse(value)
                .map_err(|error| Refusal::invalid("heart-beat", format!("{:?}: {error}.", shown(value))))?,
            None => HeartBeat::default(),
        };
        let ours = self.state.heart_beat;
        let (sends, gets) = ours.with(theirs);
        let Admitted { user, rules } = self.admit(frame).await?;
        let until = user.as_ref().and_then(|user| user.until);
        let mut connected = Frame::new(Command::Connected)
            .with("version", version.number())
            .with("heart-beat", ours.to_string())
            .with("server", concat!("sockhop/", env!("CARGO_PKG_VERSION")));
        if let Some(user) = &user {
            connected = connected.with("user-name", user.name());
        }
        self.conversation.connect(Connected { version, user, rules });
        self.make_known().await?;
        // A little early: the client counts from what it got last.
        let terms = Terms { beat: sends.map(|beat| beat - beat / 10), until };
        let patience = gets.map(|silence| (silence * 3).max(LEAST_PATIENCE));
        if terms != Terms::default() || patience.is_some() {
            self.session.keep_terms(terms, patience);
        }
        self.send(&connected);
        Ok(())
    }

    /// Has the store know of a session in memory whose user or end is of interest elsewhere.
    async fn make_known(&self) -> Result<(), Refusal> {
        let (Some(connected), State { disconnect, all_known, .. }) = (self.conversation.connected(), self.state)
        else {
            return Ok(());
        };
        if connected.user.is_none() && disconnect.is_none() && !all_known {
            return Ok(());
        }
        if self.session.is_local() {
            connected.write_down(self.session).await?;
        }
        self.session.anchor().await?;
        match &connected.user {
            Some(user) => stays::enter(self.session, Some(user), &stays::of_user(user.name())?).await,
            None => Ok(()),
        }
    }

    /// Who the client is and what it may do, as its token shows and the application says.
    async fn admit(&self, frame: &Frame) -> Result<Admitted, Refusal> {
        let user = self.token_user(frame).await?;
        match &self.state.connect {
            None => Ok(Admitted { user, rules: Box::default() }),
            Some(handler) => {
                let connect = Connect::new(self.session, user.clone(), &frame.headers);
                Ok(handler.0.handle(connect).await?.check(user.as_ref())?)
            }
        }
    }

    /// Who the client is, where it has to show it.
    async fn token_user(&self, frame: &Frame) -> Result<Option<Principal>, Refusal> {
        let Some(tokens) = &self.state.tokens else { return Ok(None) };
        let refused = |detail: String| Refusal::new("authentication failed", detail);
        match token(frame, tokens, self.session.request()) {
            Some(token) => tokens.verify(&token).await.map(Some).map_err(|error| refused(format!("{error}."))),
            None if self.state.anonymous => Ok(None),
            None => Err(refused("A token is needed: Authorization: Bearer TOKEN, or passcode.".to_owned())),
        }
    }
}

/// Silence that a client is granted whatever it promised: browsers run the timers of hidden pages once a minute.
const LEAST_PATIENCE: Duration = Duration::from_secs(90);

/// Where a client has put its token.
fn token(frame: &Frame, tokens: &Tokens, request: &RequestInfo) -> Option<String> {
    let authorization = frame.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    if let Some((_, value)) = authorization {
        // Without its scheme it is none, which verifying it tells.
        let scheme = value.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("bearer "));
        return Some(value[scheme.map_or(0, str::len)..].trim().to_owned());
    }
    if let Some(passcode) = frame.headers.get("passcode").filter(|passcode| !passcode.is_empty()) {
        return Some(passcode.to_owned());
    }
    if let Some(name) = tokens.query_name()
        && let Some(value) = parameter(request.query(), name)
    {
        return Some(value);
    }
    let cookie = request.header("cookie")?;
    Some(cookie.strip_prefix(tokens.cookie_name()?)?.strip_prefix('=')?.to_owned())
}

fn parameter(query: &str, name: &str) -> Option<String> {
    let (_, value) = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(known, _)| *known == name)?;
    Some(percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned())
}
