//! Rosters in Redis: each operation one script, in the slot of the channel that tells of it.

use std::time::Duration;

use super::Inner;
use super::keys::RosterKeys;
use super::link::Link;
use super::reply::Reply;
use super::script::{self, Argument, Script, arguments};
use crate::id::ChannelName;
use crate::store::roster::{folded, quoted, reference, referred};
use crate::store::{Entered, Here, Left, Place, Present, Retention, Roster, Stay, StoreError, Visitor};

impl Inner {
    pub(super) async fn enter(
        &self,
        roster: Roster<'_>,
        stay: Stay,
        visitor: Visitor<'_>,
    ) -> Result<Entered, StoreError> {
        let (user, about) = (folded(visitor.user)?, quoted(visitor.about));
        let rest = arguments![&user, &about[..]];
        match self.change(&script::ENTER, roster, stay, &rest).await?.text()?.as_str() {
            "joined" => Ok(Entered::Joined),
            "present" => Ok(Entered::Present),
            "over" => Ok(Entered::Over),
            _ => Err(garbled("enter")),
        }
    }

    pub(super) async fn exit(&self, roster: Roster<'_>, stay: Stay) -> Result<Left, StoreError> {
        match self.change(&script::EXIT, roster, stay, &[]).await?.text()?.as_str() {
            "left" => Ok(Left::Gone),
            "present" => Ok(Left::Present),
            "absent" | "over" => Ok(Left::Absent),
            _ => Err(garbled("exit")),
        }
    }

    async fn change(
        &self,
        script: &Script,
        roster: Roster<'_>,
        stay: Stay,
        rest: &[Argument<'_>],
    ) -> Result<Reply, StoreError> {
        let RosterKeys { keys, inbox, slot } = self.keys.roster(roster.channel);
        let retention = roster.telling.map_or_else(Retention::default, |telling| telling.retention);
        let lead = roster.telling.map(|telling| [b"+", &quoted(telling.lead)[..]].concat()).unwrap_or_default();
        let (who, number) = (reference(stay.session), stay.number.to_be_bytes());
        let command = |link: &Link| {
            let epoch = rand::random::<[u8; 8]>();
            let mut arguments = arguments![
                &inbox,
                &epoch,
                &link.run,
                Self::head_ttl(&retention),
                retention.entries,
                retention.bytes,
                retention.age.as_millis() as u64,
                &lead[..],
                &who,
                &number,
            ]
            .to_vec();
            arguments.extend(rest);
            script.command(&keys, &arguments)
        };
        Reply::new(script.operation, self.runner.run(slot, script, command).await?)
    }

    pub(super) async fn here(
        &self,
        channel: &ChannelName,
        after: Option<&Place>,
        most: usize,
    ) -> Result<Here, StoreError> {
        let RosterKeys { keys, slot, .. } = self.keys.roster(channel);
        let after = after.map(|Place(place)| &place[..]).unwrap_or_default();
        let command = |link: &Link| {
            let epoch = rand::random::<[u8; 8]>();
            let ttl = Self::head_ttl(&Retention { age: Duration::ZERO, ..Retention::default() });
            script::HERE.command(&keys, &arguments![&epoch, &link.run, ttl, after, most])
        };
        let mut reply = Reply::new("read", self.runner.run(slot, &script::HERE, command).await?)?;
        let at = reply.position()?;
        let (count, next) = (reply.count()?, reply.bytes()?);
        let (mut rows, mut members) = (reply.list()?, Vec::new());
        while rows.has_more() {
            let session = referred(&rows.bytes()?).ok_or_else(|| garbled("read"))?;
            let (sessions, since) = (rows.count()?, rows.count()?);
            let about = unquoted(&rows.bytes()?).ok_or_else(|| garbled("read"))?;
            members.push(Present { session, sessions, since, about });
        }
        let next = (!next.is_empty()).then_some(Place(next));
        Ok(Here { count, members, next, at })
    }
}

/// What `quoted` was made of.
fn unquoted(quoted: &[u8]) -> Option<String> {
    let text = [b"\"", quoted, b"\""].concat();
    serde_json::from_slice(&text).ok()
}

fn garbled(operation: &'static str) -> StoreError {
    StoreError { operation, reason: "roster: the answer was not understood".to_owned() }
}
