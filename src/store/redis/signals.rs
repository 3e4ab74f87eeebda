//! What nodes tell each other through their inboxes, as bytes.

use bytes::{Buf, BufMut, Bytes};
use sockhop_transports::Message;

use crate::id::{NodeId, SessionKey};
use crate::store::{Hold, Own, SessionRef, Signal};

/// A letter in a node's inbox.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Letter {
    /// For the node itself.
    Signal(Signal),
    /// Frames for a receiver of the node.
    Frames(Hold, Own, Vec<Message>),
    /// The handler call that calls of this session wait for has ended.
    TurnOver(SessionKey),
    /// Does this handler call still run? If not, it is to be given up.
    CheckTurn(SessionRef, u64),
    /// Does this `on_close` still run? If not, it is to be run.
    CheckEnd(SessionRef),
}

/// Bytes of frames that a letter may carry; what is more is looked up by its receiver.
pub(super) const MOST: usize = 32 * 1024;

impl Letter {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut letter = Vec::with_capacity(48);
        match self {
            Self::Signal(Signal::Changed(hold)) => put_hold(&mut letter, b'C', *hold),
            Self::Signal(Signal::Fenced(hold)) => put_hold(&mut letter, b'F', *hold),
            Self::Signal(Signal::Check(hold)) => put_hold(&mut letter, b'K', *hold),
            Self::Signal(Signal::Ask(hold, asker, ticket)) => {
                put_hold(&mut letter, b'A', *hold);
                letter.extend(asker.to_bytes());
                letter.put_u64(*ticket);
            }
            Self::Signal(Signal::Answer(ticket, yes)) => {
                letter.push(b'R');
                letter.put_u64(*ticket);
                letter.push(u8::from(*yes));
            }
            Self::Frames(hold, from, frames) => {
                put_hold(&mut letter, b'O', *hold);
                letter.put_u64(from.0);
                for frame in frames {
                    let frame = frame.frame();
                    letter.put_u32(frame.len() as u32);
                    letter.extend_from_slice(&frame);
                }
            }
            Self::TurnOver(key) => {
                letter.push(b'T');
                letter.extend(key.to_bytes());
            }
            Self::CheckTurn(session, turn) => {
                put_session(&mut letter, b'U', *session);
                letter.put_u64(*turn);
            }
            Self::CheckEnd(session) => put_session(&mut letter, b'E', *session),
        }
        letter
    }

    /// Reads a letter; `None` if it is none.
    pub(super) fn decode(letter: Vec<u8>) -> Option<Self> {
        let mut letter = Bytes::from(letter);
        let kind = letter.try_get_u8().ok()?;
        let decoded = match kind {
            b'C' => Self::Signal(Signal::Changed(hold(&mut letter)?)),
            b'F' => Self::Signal(Signal::Fenced(hold(&mut letter)?)),
            b'K' => Self::Signal(Signal::Check(hold(&mut letter)?)),
            b'A' => {
                let hold = hold(&mut letter)?;
                let asker = NodeId::from_bytes(letter.try_get_u64().ok()?.to_be_bytes());
                Self::Signal(Signal::Ask(hold, asker, letter.try_get_u64().ok()?))
            }
            b'R' => Self::Signal(Signal::Answer(letter.try_get_u64().ok()?, letter.try_get_u8().ok()? == 1)),
            b'O' => {
                let hold = hold(&mut letter)?;
                let from = Own(letter.try_get_u64().ok()?);
                let mut frames = Vec::new();
                while letter.has_remaining() {
                    let length = letter.try_get_u32().ok()? as usize;
                    if length > letter.len() {
                        return None;
                    }
                    frames.push(Message::from_frame(letter.split_to(length))?);
                }
                Self::Frames(hold, from, frames)
            }
            b'T' => Self::TurnOver(key(&mut letter)?),
            b'U' => Self::CheckTurn(session(&mut letter)?, letter.try_get_u64().ok()?),
            b'E' => Self::CheckEnd(session(&mut letter)?),
            _ => return None,
        };
        letter.is_empty().then_some(decoded)
    }
}

fn put_session(letter: &mut Vec<u8>, kind: u8, session: SessionRef) {
    letter.push(kind);
    letter.extend(session.key.to_bytes());
    letter.put_u64(session.life);
}

fn put_hold(letter: &mut Vec<u8>, kind: u8, hold: Hold) {
    put_session(letter, kind, hold.session);
    letter.put_u64(hold.attachment);
}

fn key(letter: &mut Bytes) -> Option<SessionKey> {
    Some(SessionKey::from_bytes(letter.try_get_u128().ok()?.to_be_bytes()))
}

fn session(letter: &mut Bytes) -> Option<SessionRef> {
    Some(SessionRef { key: key(letter)?, life: letter.try_get_u64().ok()? })
}

fn hold(letter: &mut Bytes) -> Option<Hold> {
    Some(Hold { session: session(letter)?, attachment: letter.try_get_u64().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_come_back_and_nonsense_does_not() {
        let session = SessionRef { key: SessionKey::of("/a", "b"), life: 7 };
        let hold = Hold { session, attachment: 3 };
        for letter in [
            Letter::Signal(Signal::Changed(hold)),
            Letter::Signal(Signal::Fenced(hold)),
            Letter::Signal(Signal::Check(hold)),
            Letter::Signal(Signal::Ask(hold, NodeId::random(), 9)),
            Letter::Signal(Signal::Answer(9, true)),
            Letter::Frames(hold, Own(4), vec!["x".into(), "y".into()]),
            Letter::TurnOver(session.key),
            Letter::CheckTurn(session, 5),
            Letter::CheckEnd(session),
        ] {
            let encoded = letter.encode();
            for length in 0..encoded.len() {
                let cut = Letter::decode(encoded[..length].to_vec());
                assert_ne!(cut.as_ref(), Some(&letter), "{length} of {encoded:?}");
            }
            assert_eq!(Letter::decode(encoded), Some(letter));
        }
        assert_eq!(Letter::decode(vec![b'Z']), None);
    }
}
