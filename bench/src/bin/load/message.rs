//! Numbered messages of 64 bytes. Ten digits tell each one's place in its session, so that a lost,
//! repeated or swapped message is noticed.

use anyhow::{Context, ensure};

/// Bytes of a message.
pub(crate) const LENGTH: usize = DIGITS + FILLER.len();

const DIGITS: usize = 10;
const FILLER: &[u8] = b" is this message's number; the rest only fills it up..";

/// Everything around and in a message as it goes on the wire; only the digits change.
pub(crate) struct Template {
    bytes: Vec<u8>,
    digits_at: usize,
    /// What the digits are combined with (websocket clients mask their payload).
    mask: [u8; DIGITS],
}

impl Template {
    /// `before`, a message, `after`.
    pub(crate) fn new(before: &[u8], after: &[u8]) -> Self {
        let mut bytes = before.to_vec();
        bytes.extend_from_slice(&[b'0'; DIGITS]);
        bytes.extend_from_slice(FILLER);
        bytes.extend_from_slice(after);
        Self { bytes, digits_at: before.len(), mask: [0; DIGITS] }
    }

    /// The same, masked as the payload of a client's websocket frame that has `header`.
    pub(crate) fn into_websocket_frame(self, header: &[u8], key: [u8; 4]) -> Self {
        let keyed = |at: usize| key[at % key.len()];
        let masked = self.bytes.iter().enumerate().map(|(at, byte)| byte ^ keyed(at));
        Self {
            bytes: header.iter().copied().chain(masked).collect(),
            digits_at: header.len() + self.digits_at,
            mask: std::array::from_fn(|digit| keyed(self.digits_at + digit)),
        }
    }

    /// Bytes of the whole.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends the message with this number to `out`.
    pub(crate) fn append(&self, number: u64, out: &mut Vec<u8>) {
        let start = out.len() + self.digits_at;
        out.extend_from_slice(&self.bytes);
        let mut rest = number;
        for (place, mask) in out[start..start + DIGITS].iter_mut().zip(self.mask).rev() {
            *place = (b'0' + (rest % 10) as u8) ^ mask;
            rest /= 10;
        }
    }
}

/// The number of a message that came back.
///
/// # Errors
/// When it is not one of our messages, byte for byte.
pub(crate) fn number(message: &[u8]) -> anyhow::Result<u64> {
    ensure!(
        message.len() == LENGTH && &message[DIGITS..] == FILLER,
        "not a message of ours: {:?}",
        String::from_utf8_lossy(message)
    );
    message[..DIGITS]
        .iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
        .with_context(|| format!("not a number: {:?}", String::from_utf8_lossy(message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_64_bytes_and_reads_back_as_its_number() {
        let template = Template::new(b"[\"", b"\"]");
        let mut out = Vec::new();
        template.append(1_234_567_890, &mut out);
        assert_eq!(LENGTH, 64);
        assert_eq!(out.len(), template.len());
        assert_eq!(number(&out[2..66]).unwrap(), 1_234_567_890);
    }

    #[test]
    fn a_masked_frame_unmasks_to_the_plain_message() {
        let key = [1, 2, 3, 4];
        let template = Template::new(b"[\"", b"\"]").into_websocket_frame(&[0x81, 0xc4], key);
        let mut out = Vec::new();
        template.append(42, &mut out);
        let plain: Vec<u8> = out[2..].iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]).collect();
        assert_eq!(&plain[..2], b"[\"");
        assert_eq!(number(&plain[2..66]).unwrap(), 42);
    }

    #[test]
    fn a_changed_or_shortened_message_is_not_ours() {
        let mut out = Vec::new();
        Template::new(b"", b"").append(1, &mut out);
        assert!(number(&out[..63]).is_err());
        let mut letter_for_digit = out.clone();
        letter_for_digit[0] = b'x';
        assert!(number(&letter_for_digit).is_err());
        *out.last_mut().unwrap() = b'!';
        assert!(number(&out).is_err());
    }
}
