//! How much of which channels is kept.

use std::str::FromStr;

use crate::id::ChannelName;
use crate::store::Retention;

/// Names of channels: a text in which each `*` stands for any text, `/` included.
///
/// ```
/// use sockhop::ChannelPattern;
///
/// let pattern: ChannelPattern = "rooms/*/log".parse().unwrap();
/// assert!(pattern.matches(&"rooms/a/b/log".parse().unwrap()));
/// assert!(!pattern.matches(&"rooms/log".parse().unwrap()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChannelPattern(Box<str>);

/// A text that is no [`ChannelPattern`]: one that is empty, or longer than a channel's name may be, or that holds a control
/// character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pattern of channel names has 1 to {max} bytes and no control characters", max = ChannelName::MAX_LEN)]
pub struct InvalidChannelPattern;

impl ChannelPattern {
    /// Whether a channel's name is one of these.
    #[must_use]
    pub fn matches(&self, channel: &ChannelName) -> bool {
        let name = channel.as_str();
        let Some((first, rest)) = self.0.split_once('*') else { return *self.0 == *name };
        let Some(mut name) = name.strip_prefix(first) else { return false };
        let (middle, last) = rest.rsplit_once('*').map_or((None, rest), |(middle, last)| (Some(middle), last));
        // Each part where it comes first: whatever fits behind a later place fits behind this one.
        for part in middle.into_iter().flat_map(|middle| middle.split('*')) {
            let Some(at) = name.find(part) else { return false };
            name = &name[at + part.len()..];
        }
        name.ends_with(last)
    }
}

impl FromStr for ChannelPattern {
    type Err = InvalidChannelPattern;

    fn from_str(text: &str) -> Result<Self, InvalidChannelPattern> {
        // What is a name is a pattern, and the other way round.
        ChannelName::new(text).map(|_| Self(text.into())).map_err(|_| InvalidChannelPattern)
    }
}

/// The retentions of a node's channels.
#[derive(Debug, Clone, Default)]
pub(crate) struct Retentions {
    /// Of channels that no pattern names.
    pub(crate) others: Retention,
    /// The first pattern that names a channel counts.
    pub(crate) named: Vec<(ChannelPattern, Retention)>,
}

impl Retentions {
    pub(crate) fn of(&self, channel: &ChannelName) -> Retention {
        self.named.iter().find(|(pattern, _)| pattern.matches(channel)).map_or(self.others, |(_, named)| *named)
    }

    /// What a channel keeps at most.
    pub(crate) fn longest(&self) -> Retention {
        self.named.iter().fold(self.others, |longest, (_, named)| Retention {
            entries: longest.entries.max(named.entries),
            bytes: longest.bytes.max(named.bytes),
            age: longest.age.max(named.age),
        })
    }

    /// What every channel keeps at least.
    pub(crate) fn least(&self) -> Retention {
        self.named.iter().fold(self.others, |least, (_, named)| Retention {
            entries: least.entries.min(named.entries),
            bytes: least.bytes.min(named.bytes),
            age: least.age.min(named.age),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        pattern.parse::<ChannelPattern>().unwrap().matches(&name.parse().unwrap())
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name) in [
            ("*", "a"),
            ("a", "a"),
            ("a*", "a"),
            ("*a", "a"),
            ("a*", "a/b/c"),
            ("*c", "a/b/c"),
            ("a*c", "a/b/c"),
            ("a*b*c", "a-b-b-c"),
            ("**", "a"),
            ("*ab", "aab"),
            ("a*a", "aa"),
            ("*b*", "abc"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("a", "b"),
            ("a", "ab"),
            ("a*", "b"),
            ("*a", "ab"),
            ("a*a", "a"),
            ("a*b*c", "a-c"),
            ("*x*", "abc"),
            ("ab*bc", "abc"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_is_no_longer_than_a_name() {
        assert_eq!("".parse::<ChannelPattern>(), Err(InvalidChannelPattern));
        assert_eq!("x".repeat(513).parse::<ChannelPattern>(), Err(InvalidChannelPattern));
        assert_eq!("a\n*".parse::<ChannelPattern>(), Err(InvalidChannelPattern));
    }

    #[test]
    fn the_first_pattern_counts_and_the_least_is_kept_by_all() {
        let keeping = |entries, bytes| Retention { entries, bytes, ..Retention::default() };
        let named = [("a*", keeping(1, 30)), ("ab", keeping(2, 20)), ("c", keeping(7, 10))];
        let named = named.map(|(pattern, retention)| (pattern.parse().unwrap(), retention)).to_vec();
        let retentions = Retentions { others: keeping(5, 50), named };
        for (name, entries) in [("ab", 1), ("c", 7), ("x", 5)] {
            assert_eq!(retentions.of(&name.parse().unwrap()).entries, entries, "{name}");
        }
        assert_eq!(retentions.least(), keeping(1, 10));
        assert_eq!(retentions.longest(), keeping(7, 50));
    }
}
