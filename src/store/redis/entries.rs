//! How entries look in a log and on Pub/Sub: batches of frames, each behind its length.

use bytes::{Buf, Bytes};
use sockhop_transports::Message;

use crate::store::{Entry, Epoch};

/// A batch as the publish script takes it, and what it weighs.
pub(super) fn encode<'a>(messages: impl Iterator<Item = &'a Message>) -> (Vec<u8>, usize) {
    let mut encoded = Vec::new();
    let mut weight = 0;
    for message in messages {
        let frame = message.frame();
        encoded.extend((frame.len() as u32).to_be_bytes());
        encoded.extend_from_slice(&frame);
        weight += message.weight();
    }
    (encoded, weight)
}

/// Bytes of an element before its entries: seq of the first, count, time, weight.
const HEAD: usize = 20;

/// The entries of one element of a log; `None` if it is none.
pub(super) fn decode(element: Vec<u8>) -> Option<Vec<Entry>> {
    decode_bytes(Bytes::from(element))
}

fn decode_bytes(mut element: Bytes) -> Option<Vec<Entry>> {
    if element.len() < HEAD {
        return None;
    }
    let first = element.get_uint(6);
    let count = element.get_u32() as usize;
    let at = element.get_uint(6);
    element.advance(4);
    let mut entries = Vec::with_capacity(count.min(element.len() / 4));
    for seq in first..first + count as u64 {
        let length = if element.len() >= 4 { element.get_u32() as usize } else { return None };
        if length > element.len() {
            return None;
        }
        entries.push(Entry { seq, at, message: Message::from_frame(element.split_to(length))? });
    }
    element.is_empty().then_some(entries)
}

/// What comes over Pub/Sub: the epoch, then an element.
pub(super) fn heard(payload: Vec<u8>) -> Option<(Epoch, Vec<Entry>)> {
    let mut payload = Bytes::from(payload);
    if payload.len() < 8 {
        return None;
    }
    let epoch = Epoch(payload.get_u64());
    Some((epoch, decode_bytes(payload)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(first: u64, messages: &[Message]) -> Vec<u8> {
        let (entries, weight) = encode(messages.iter());
        let mut element = first.to_be_bytes()[2..].to_vec();
        element.extend((messages.len() as u32).to_be_bytes());
        element.extend(&1_700_000_000_123u64.to_be_bytes()[2..]);
        element.extend((weight as u32).to_be_bytes());
        element.extend(entries);
        element
    }

    #[test]
    fn a_batch_comes_back() {
        let messages = [Message::new("a"), Message::new("\"ü\"")];
        let entries = decode(element(7, &messages)).unwrap();
        assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [7, 8]);
        assert_eq!((&entries[1].message, entries[1].at), (&messages[1], 1_700_000_000_123));
    }

    #[test]
    fn nonsense_is_refused() {
        let good = element(1, &[Message::new("abc")]);
        for length in 0..good.len() {
            assert!(decode(good[..length].to_vec()).is_none(), "{length}");
        }
        for at in 20..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0xff;
            assert!(decode(bad).is_none(), "{at}");
        }
        let mut long = good;
        long.push(0);
        assert!(decode(long).is_none());
    }
}
