//! The sessions of clients, as the application lists and ends them.

use std::time::SystemTime;

use futures_util::StreamExt;
use serde::Serialize;

use super::broker::Broker;
use super::history::rfc3339;
use super::{state, stays};
use crate::store::{Gone, Known, Place, SessionId, SessionRef, StoreError};
use crate::{CloseReason, SessionKey};

/// Some of the sessions that there are. As JSON, its fields are named as here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sessions<C> {
    /// The sessions.
    pub sessions: Vec<SessionInfo>,
    /// Leads to the next sessions; `None` where there are none.
    pub next: Option<C>,
}

/// One open session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionInfo {
    /// What stands for it: 20 hex digits, which authorise nothing.
    pub id: SessionId,
    /// Whose it is; `None` for a client without a user.
    pub user: Option<String>,
    /// The prefix of its service.
    pub service: String,
    /// The transport with which it began.
    pub transport: String,
    /// The address of the client, or of the proxy before the server.
    pub address: Option<String>,
    /// The node that holds it; `None` while it is between two requests.
    pub node: Option<String>,
    /// Since when it is open.
    #[serde(serialize_with = "rfc3339")]
    pub since: SystemTime,
    /// How many subscriptions it has.
    pub subscriptions: usize,
}

/// Sessions that a page may have.
const MOST: usize = 1000;
/// How many questions to the store are under way at once, and how many of them for the keys of buckets, most of which may
/// not be needed.
const AT_ONCE: usize = 64;
const BUCKETS_AHEAD: usize = 8;

impl SessionInfo {
    fn of(known: &Known) -> Self {
        let request = &known.origin.request;
        Self {
            id: known.session.id(),
            user: state::user_in(&known.attributes),
            service: known.origin.service.to_string(),
            transport: request.transport().to_string(),
            address: request.remote().map(|address| address.ip().to_string()),
            node: known.node.map(|node| node.to_string()),
            since: request.at(),
            subscriptions: known.subscriptions.max(state::subscriptions_in(&known.attributes)),
        }
    }
}

impl Broker {
    /// All sessions that the store knows, `most` at most, 1,000 at the utmost: the first, or those behind a page. In no
    /// order of meaning; one that is open all the time is in one page.
    ///
    /// Those of WebSockets without resume are known if their client has a user, is in a destination with
    /// [presence](super::Stomp::presence), or has been made known otherwise; see
    /// [`Session::anchor`](crate::Session::anchor).
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn sessions(
        &self,
        after: Option<SessionId>,
        most: usize,
    ) -> Result<Sessions<SessionId>, StoreError> {
        let most = most.clamp(1, MOST);
        let mut sessions = Vec::new();
        let first = after.map_or(0, |after| after.bucket);
        let keys = futures_util::stream::iter(first..SessionKey::BUCKETS)
            .map(|bucket| self.store().keys(bucket))
            .buffered(BUCKETS_AHEAD);
        let mut keys = std::pin::pin!(keys);
        loop {
            // Whole buckets, and of these no more than may fill the page.
            let (mut wanted, mut is_last) = (Vec::new(), false);
            while !is_last && sessions.len() + wanted.len() <= most {
                match keys.next().await {
                    Some(keys) => wanted.extend(keys?),
                    None => is_last = true,
                }
            }
            let behind = |known: &&Known| after.is_none_or(|after| known.session.id() > after);
            for known in self.in_order(wanted).await?.iter().filter(behind) {
                if sessions.len() == most {
                    let next = sessions.last().map(|last: &SessionInfo| last.id);
                    return Ok(Sessions { sessions, next });
                }
                sessions.push(SessionInfo::of(known));
            }
            if is_last {
                return Ok(Sessions { sessions, next: None });
            }
        }
    }

    /// The sessions of a user, as [`sessions`](Self::sessions) lists all.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn sessions_of(
        &self,
        user: &str,
        after: Option<&Place>,
        most: usize,
    ) -> Result<Sessions<Place>, StoreError> {
        let (found, next) = self.refs_of(user, after, most.clamp(1, MOST)).await?;
        let mut sessions = Vec::new();
        for known in self.all_known(found.iter().map(|session| session.key).collect()).await? {
            if found.contains(&known.session) {
                sessions.push(SessionInfo::of(&known));
            }
        }
        Ok(Sessions { sessions, next })
    }

    /// Ends a session, wherever its client is, with a reason of yours such as [`CloseReason::DISCONNECTED`]. False where
    /// there is none.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn disconnect(&self, session: SessionId, reason: CloseReason) -> Result<bool, StoreError> {
        let known = self.all_known(self.store().keys(session.bucket).await?).await?;
        match known.iter().find(|known| known.session.id() == session) {
            Some(known) => self.end(known.session, reason).await,
            None => Ok(false),
        }
    }

    /// Ends all sessions that a user has now; how many they were.
    ///
    /// # Errors
    /// The store cannot be reached: some may have been ended.
    pub async fn disconnect_user(&self, user: &str, reason: CloseReason) -> Result<u64, StoreError> {
        let (mut ended, mut after) = (0, None);
        loop {
            let (found, next) = self.refs_of(user, after.as_ref(), MOST).await?;
            for session in found {
                ended += u64::from(self.end(session, reason.clone()).await?);
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(ended),
            }
        }
    }

    async fn end(&self, session: SessionRef, reason: CloseReason) -> Result<bool, StoreError> {
        match self.store().close(session, reason).await {
            Ok(ended) => {
                ended.into_iter().for_each(|ended| self.node().inner.spawn_on_close(ended));
                Ok(true)
            }
            Err(Gone::Over | Gone::Fenced) => Ok(false),
            Err(Gone::Store(error)) => Err(error),
        }
    }

    async fn refs_of(
        &self,
        user: &str,
        after: Option<&Place>,
        most: usize,
    ) -> Result<(Vec<SessionRef>, Option<Place>), StoreError> {
        // Whose name cannot be kept has no session.
        let Ok(channel) = stays::of_user(user) else { return Ok((Vec::new(), None)) };
        let here = self.store().here(&channel, after, most).await?;
        Ok((here.members.into_iter().map(|member| member.session).collect(), here.next))
    }

    /// What is known of sessions, in the order of their ids.
    async fn in_order(&self, keys: Vec<SessionKey>) -> Result<Vec<Known>, StoreError> {
        let mut known = self.all_known(keys).await?;
        known.sort_unstable_by_key(|known| known.session.id());
        Ok(known)
    }

    async fn all_known(&self, keys: Vec<SessionKey>) -> Result<Vec<Known>, StoreError> {
        let mut found = Vec::with_capacity(keys.len());
        let mut answers =
            futures_util::stream::iter(keys).map(|key| self.store().known(key, &state::TOLD)).buffered(AT_ONCE);
        while let Some(known) = answers.next().await {
            found.extend(known?);
        }
        Ok(found)
    }
}
