//! Looking up entries anywhere in a channel's log.

use super::reply::Reply;
use super::script::{self, arguments};
use super::{Inner, entries};
use crate::id::ChannelName;
use crate::store::{Entry, Epoch, Excerpt, Span, StoreError};

impl Inner {
    pub(super) async fn excerpt(
        &self,
        channel: &ChannelName,
        span: Span,
        most: usize,
        bytes: usize,
    ) -> Result<Excerpt, StoreError> {
        let keys = self.keys.channel(channel);
        let (side, position) = match span {
            Span::Newest => ("newest", None),
            Span::Oldest => ("oldest", None),
            Span::Before(position) => ("before", Some(position)),
            Span::After(position) => ("after", Some(position)),
        };
        let epoch = position.map_or([0; 8], |position| position.epoch.0.to_be_bytes());
        let seq = position.map_or(0, |position| position.seq);
        let arguments = arguments![side, &epoch, seq, most.max(1), bytes.max(1)];
        let answer = self.runner.run_plain(keys.slot, &script::EXCERPT, &keys.keys, &arguments).await?;
        let mut reply = Reply::new("look up", answer)?;
        let epoch = Epoch(reply.some_id()?.map_or(0, u64::from_be_bytes));
        let status = reply.text()?;
        if status == "none" {
            return Ok(Excerpt::of_nothing(span));
        }
        let mut excerpt = Excerpt { gap: true, ..Excerpt::of_nothing(span) };
        let mut entries = None;
        if status != "foreign" {
            (excerpt.oldest, excerpt.newest) = (reply.count()?, reply.count()?);
            excerpt.epoch = epoch;
            let (mut list, mut elements) = (reply.list()?, Vec::new());
            while list.has_more() {
                elements.push(list.bytes()?);
            }
            entries = chosen(elements, span, most, bytes);
        }
        match entries {
            Some(entries) => Ok(Excerpt { gap: status == "gap", entries, ..excerpt }),
            None => {
                tracing::error!(%channel, "what stands in the channel's log is none of sockhop: entries are missing");
                Ok(excerpt)
            }
        }
    }
}

/// The entries of the elements that are wanted, in the log's order; `None` if there is a hole.
///
/// The elements begin with the one that holds the entry next to where the span begins, on whatever side that is.
fn chosen(elements: Vec<Vec<u8>>, span: Span, most: usize, bytes: usize) -> Option<Vec<Entry>> {
    let back = matches!(span, Span::Newest | Span::Before(_));
    let mut chosen: Vec<Entry> = Vec::new();
    let mut left = bytes;
    'all: for element in elements {
        let mut entries = entries::decode(element)?;
        if back {
            entries.reverse();
        }
        for entry in entries.into_iter().filter(|entry| is_within(span, entry.seq)) {
            let weight = entry.message.weight();
            if chosen.len() == most || !chosen.is_empty() && weight > left {
                break 'all;
            }
            if chosen.last().is_some_and(|last| last.seq.abs_diff(entry.seq) != 1) {
                return None;
            }
            left = left.saturating_sub(weight);
            chosen.push(entry);
        }
    }
    if back {
        chosen.reverse();
    }
    Some(chosen)
}

fn is_within(span: Span, seq: u64) -> bool {
    match span {
        Span::Newest | Span::Oldest => true,
        Span::Before(before) => seq < before.seq,
        Span::After(after) => seq > after.seq,
    }
}
