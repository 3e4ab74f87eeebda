//! Versions of the protocol, and how one is agreed on.

use std::fmt;

/// A version of STOMP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "named as they are numbered")]
pub enum Version {
    V1_0,
    V1_1,
    V1_2,
}

/// A client speaks no version that is spoken here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("none of the versions in accept-version is supported: this server speaks 1.0, 1.1 and 1.2")]
pub struct UnsupportedVersion;

impl Version {
    /// All versions, the oldest first.
    pub const ALL: [Self; 3] = [Self::V1_0, Self::V1_1, Self::V1_2];

    /// The number as it is written.
    #[must_use]
    pub fn number(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
        }
    }

    /// The version with this number.
    #[must_use]
    pub fn from_number(number: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.number() == number)
    }

    /// The newest version that the value of a client's `accept-version` names; without one it is 1.0.
    ///
    /// # Errors
    /// It names none that is known.
    ///
    /// ```
    /// use sockhop_stomp::Version;
    ///
    /// assert_eq!(Version::negotiate(Some("1.0, 1.1,2.0")), Ok(Version::V1_1));
    /// assert_eq!(Version::negotiate(None), Ok(Version::V1_0));
    /// assert!(Version::negotiate(Some("2.0")).is_err());
    /// ```
    pub fn negotiate(accepted: Option<&str>) -> Result<Self, UnsupportedVersion> {
        let Some(accepted) = accepted else { return Ok(Self::V1_0) };
        accepted.split(',').filter_map(|number| Self::from_number(number.trim())).max().ok_or(UnsupportedVersion)
    }

    /// The name of the WebSocket subprotocol.
    #[must_use]
    pub fn subprotocol(self) -> &'static str {
        match self {
            Self::V1_0 => "v10.stomp",
            Self::V1_1 => "v11.stomp",
            Self::V1_2 => "v12.stomp",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.number())
    }
}
