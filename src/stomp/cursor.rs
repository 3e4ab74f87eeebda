//! Cursors of history: places in one destination, as texts that callers hand back unread.

use std::fmt;

use crate::ChannelName;
use crate::id;
use crate::store::{Epoch, Position};

/// A place in a destination's history: 44 hex digits that [`History`](super::History) gives and [`Page`](super::Page)
/// takes back.
///
/// It holds nothing secret, and is good for one destination only: another one refuses it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Cursor(String);

impl Cursor {
    /// Characters of a cursor, hex digits in lower case.
    pub const LENGTH: usize = 44;

    /// Whatever a caller has handed back. What is no cursor is refused when it is used.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The cursor as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn at(channel: &ChannelName, position: Position) -> Self {
        let place = format!("{:016x}{:012x}", position.epoch.0, position.seq);
        Self(format!("{place}{}", check(channel, &place)))
    }

    /// The position, if this is a cursor of the channel.
    pub(super) fn position_in(&self, channel: &ChannelName) -> Option<Position> {
        let text = &self.0;
        if text.len() != Self::LENGTH || !id::is_hex(text) {
            return None;
        }
        let (place, told) = text.split_at(PLACE);
        let epoch = u64::from_str_radix(&place[..16], 16).ok()?;
        let seq = u64::from_str_radix(&place[16..], 16).ok()?;
        (told == check(channel, place)).then_some(Position { epoch: Epoch(epoch), seq })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Digits of epoch and seq.
const PLACE: usize = 28;

/// By which a cursor of another destination, or one that somebody made up, is known. No signature: whoever may read a
/// destination may read all of it, wherever a cursor points.
fn check(channel: &ChannelName, place: &str) -> String {
    id::hex(&id::digest(&["cursor", channel.as_str(), place])[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Position = Position { epoch: Epoch(0xfedc_ba98_7654_3210), seq: (1 << 48) - 1 };

    #[test]
    fn a_cursor_leads_back_to_its_place_in_its_channel_alone() {
        let (a, b) = (ChannelName::new("a").unwrap(), ChannelName::new("b").unwrap());
        let cursor = Cursor::at(&a, AT);
        assert_eq!(cursor.as_str().len(), Cursor::LENGTH);
        assert_eq!(cursor.position_in(&a), Some(AT));
        assert_eq!(cursor.position_in(&b), None);
    }

    #[test]
    fn what_is_made_up_is_no_cursor() {
        let channel = ChannelName::new("a").unwrap();
        let text = Cursor::at(&channel, AT).to_string();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            let forged = Cursor::new(String::from_utf8(bytes).unwrap());
            assert_eq!(forged.position_in(&channel), None, "{forged}");
        }
        for text in
            ["", "0", &text[1..], &format!("{text}0"), &text.to_uppercase(), &format!("+{}", &text[1..]), "é"]
        {
            assert_eq!(Cursor::new(text).position_in(&channel), None, "{text:?}");
        }
    }
}
