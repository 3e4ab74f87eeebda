//! Catalogues in Redis: a sorted set of names beside the channel that brings the news of it.

use redis::Value;
use sockhop_transports::Message;

use super::reply::Reply;
use super::script::{self, arguments};
use super::{Inner, entries};
use crate::id::ChannelName;
use crate::store::{Enlist, Enlisted, Listed, Retention, StoreError};

impl Inner {
    pub(super) async fn enlist(&self, enlist: Enlist<'_>) -> Result<Enlisted, StoreError> {
        let (keys, inbox, slot) = self.keys.catalogue(enlist.catalogue);
        let epoch = rand::random::<[u8; 8]>();
        let ttl = Self::head_ttl(&enlist.retention);
        let entry = |message: &Message| entries::encode(std::iter::once(message));
        let ((news, news_weight), (full, full_weight)) = (entry(enlist.news), entry(enlist.full));
        let command = |link: &super::link::Link| {
            let arguments = arguments![
                &inbox,
                &epoch,
                &link.run,
                ttl,
                enlist.name.as_str(),
                enlist.most,
                enlist.life.as_millis() as u64,
                enlist.incomplete.as_millis() as u64,
                &news[..],
                news_weight,
                &full[..],
                full_weight,
                enlist.retention.entries,
                enlist.retention.bytes,
                enlist.retention.age.as_millis() as u64,
            ];
            script::ENLIST.command(&keys, &arguments)
        };
        let mut reply = Reply::new("enlist", self.runner.run(slot, &script::ENLIST, command).await?)?;
        Ok(Enlisted { entered: reply.count()? == 1, at: reply.position()? })
    }

    pub(super) async fn listed(&self, catalogue: &ChannelName) -> Result<Listed, StoreError> {
        let (keys, _, slot) = self.keys.catalogue(catalogue);
        let epoch = rand::random::<[u8; 8]>();
        let ttl = Self::head_ttl(&Retention::default());
        let command =
            |link: &super::link::Link| script::LISTED.command(&keys, &arguments![&epoch, &link.run, ttl]);
        let answer: Value = self.runner.run(slot, &script::LISTED, command).await?;
        let mut reply = Reply::new("list", answer)?;
        let (complete, at) = (reply.count()? == 1, reply.position()?);
        let (mut list, mut names) = (reply.list()?, Vec::new());
        while list.has_more() {
            match ChannelName::new(&list.text()?) {
                Ok(name) => names.push(name),
                Err(_) => return list.error(),
            }
        }
        Ok(Listed { names, at, complete })
    }
}
