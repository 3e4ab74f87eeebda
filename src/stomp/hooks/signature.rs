//! How the application sees that a call comes from here.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::id::hex;

/// A secret that both sides know.
pub(super) struct Secret(Hmac<Sha256>);

/// Bytes that a secret needs: a shorter one could be found by trying.
pub(super) const SHORTEST: usize = 32;

impl Secret {
    pub(super) fn new(secret: &[u8]) -> Option<Self> {
        if secret.len() < SHORTEST {
            return None;
        }
        Hmac::new_from_slice(secret).ok().map(Self)
    }

    /// The signature of a body that is sent at this time: HMAC-SHA256 of the seconds, a full stop and the body, as hex.
    pub(super) fn sign(&self, seconds: u64, body: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(seconds.to_string().as_bytes());
        mac.update(b".");
        mac.update(body);
        format!("sha256={}", hex(&mac.finalize().into_bytes()))
    }
}

/// The time, in seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_others_compute() {
        let secret = Secret::new(b"a secret of at least thirty-two bytes").unwrap();
        // printf '1764200000.{}' | openssl dgst -sha256 -hmac 'a secret of at least thirty-two bytes'
        let expected = "sha256=cd2f1f9f2ce6c96ca9d7fb5bdf9bcc63d570dc472d28a469b7942022f7a63fe0";
        assert_eq!(secret.sign(1_764_200_000, b"{}"), expected);
        assert_ne!(secret.sign(1_764_200_001, b"{}"), expected);
        assert!(Secret::new(b"short").is_none());
    }
}
