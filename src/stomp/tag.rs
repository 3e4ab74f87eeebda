//! What the rendering of MESSAGE frames needs to know of a subscription, as the tag of its feed.

use sockhop_stomp::Version;

/// How a client says that it has handled messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AckMode {
    Auto,
    Client,
    ClientIndividual,
}

impl AckMode {
    /// As a SUBSCRIBE says it; without a word it is `auto`.
    pub(crate) fn parse(text: Option<&str>) -> Option<Self> {
        let Some(text) = text else { return Some(Self::Auto) };
        [Self::Auto, Self::Client, Self::ClientIndividual].into_iter().find(|mode| mode.name() == text)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Client => "client",
            Self::ClientIndividual => "client-individual",
        }
    }
}

/// A tag, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag<'a> {
    pub(crate) version: Version,
    pub(crate) ack: AckMode,
    /// Of a user's destination: the session, since some messages are for one session of the user.
    pub(crate) session: Option<&'a str>,
    /// Of a queue: what its consumer may have.
    pub(crate) queue: Option<Grant>,
    /// The client's name of the subscription.
    pub(crate) id: &'a str,
}

/// What a consumer may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Messages that it may have and not have acknowledged.
    pub(crate) credit: u32,
    /// Of a session that can be resumed: the attempt of the client that has subscribed.
    pub(crate) attempt: Option<u64>,
}

impl Grant {
    fn text(self) -> String {
        // No session begins so.
        format!("q{}.{}", self.credit, self.attempt.unwrap_or_default())
    }

    fn parse(text: &str) -> Option<Self> {
        let (credit, attempt) = text.strip_prefix('q')?.split_once('.')?;
        Some(Self { credit: credit.parse().ok()?, attempt: attempt.parse().ok().filter(|attempt| *attempt > 0) })
    }
}

impl<'a> Tag<'a> {
    pub(crate) fn text(&self) -> String {
        let version = match self.version {
            Version::V1_0 => '0',
            Version::V1_1 => '1',
            Version::V1_2 => '2',
        };
        let ack = match self.ack {
            AckMode::Auto => 'a',
            AckMode::Client => 'c',
            AckMode::ClientIndividual => 'i',
        };
        let grant = self.queue.map(Grant::text);
        let whose = grant.as_deref().or(self.session).unwrap_or_default();
        format!("{version}{ack}{whose} {}", self.id)
    }

    /// `None` for what is no tag: one that another version of this program wrote.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (modes, rest) = text.split_at_checked(2)?;
        let (whose, id) = rest.split_once(' ')?;
        let queue = Grant::parse(whose);
        let session = Some(whose).filter(|whose| !whose.is_empty() && queue.is_none());
        let version = match modes.as_bytes()[0] {
            b'0' => Version::V1_0,
            b'1' => Version::V1_1,
            b'2' => Version::V1_2,
            _ => return None,
        };
        let ack = match modes.as_bytes()[1] {
            b'a' => AckMode::Auto,
            b'c' => AckMode::Client,
            b'i' => AckMode::ClientIndividual,
            _ => return None,
        };
        Some(Self { version, ack, session, queue, id })
    }
}

/// The tag of a subscription to the catalogue, on behalf of one with wildcards: its pattern, and the tag of the
/// subscriptions that this leads to.
pub(crate) fn stem(pattern: &str, tag: &str) -> String {
    // No destination holds a line feed.
    format!("*{pattern}\n{tag}")
}

/// The pattern and the tag in a [`stem`].
pub(crate) fn read_stem(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('*')?.split_once('\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_comes_back() {
        let grant = |attempt| Some(Grant { credit: 100, attempt });
        for (session, queue) in [(None, None), (Some("ab12"), None), (None, grant(None)), (None, grant(Some(7)))] {
            for id in ["sub-0", "", "with space\nand line"] {
                let tag = Tag { version: Version::V1_1, ack: AckMode::ClientIndividual, session, queue, id };
                assert_eq!(Tag::parse(&tag.text()), Some(tag));
            }
        }
        let tag =
            Tag { version: Version::V1_2, ack: AckMode::Auto, session: None, queue: None, id: "a\nb" }.text();
        let stem = stem("/topic/*", &tag);
        assert_eq!(read_stem(&stem), Some(("/topic/*", &*tag)));
        assert_eq!((Tag::parse(&stem), read_stem(&tag)), (None, None));
        for wrong in ["", "2", "2a", "9a x", "2x x", "äa x"] {
            assert_eq!(Tag::parse(wrong), None, "{wrong}");
        }
    }
}
