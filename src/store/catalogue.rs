//! Catalogues: which channels there are, for whoever follows them by patterns of their names.

use std::time::Duration;

use sockhop_transports::Message;

use super::channel::{Position, Retention};
use crate::id::ChannelName;

/// A channel's name is to be in a catalogue. A catalogue is a set of names, and a channel whose entries bring news of it:
/// whoever knows the set as it was at a position follows the channel from there.
#[derive(Debug)]
pub struct Enlist<'a> {
    /// The catalogue's own channel.
    pub catalogue: &'a ChannelName,
    /// The name.
    pub name: &'a ChannelName,
    /// What is appended if the name is new.
    pub news: &'a Message,
    /// What is appended if the name is new and there is no room for it, unless that was told already.
    pub full: &'a Message,
    /// Names that the catalogue may hold.
    pub most: usize,
    /// How long it holds this one, unless it is enlisted again.
    pub life: Duration,
    /// How long the catalogue counts as incomplete since there was no room for a name.
    pub incomplete: Duration,
    /// How much of the news is kept.
    pub retention: Retention,
}

/// A name was taken into a catalogue, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enlisted {
    /// Whether it is in the catalogue now.
    pub entered: bool,
    /// Where the catalogue's channel stands.
    pub at: Position,
}

/// What a catalogue holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The names, in no order.
    pub names: Vec<ChannelName>,
    /// Where the catalogue's channel stood then.
    pub at: Position,
    /// Whether these are all: there was room for every one of late.
    pub complete: bool,
}
