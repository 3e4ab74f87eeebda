//! Who a client is.

use serde::{Deserialize, Serialize};

/// A client's user, as its CONNECT has shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Principal {
    #[serde(rename = "n")]
    name: String,
}

impl Principal {
    /// The user's name.
    #[must_use]
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}
