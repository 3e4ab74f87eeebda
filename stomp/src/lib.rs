//! The frames of STOMP 1.0, 1.1 and 1.2, without I/O, clocks or tasks.
//!
//! A [`Decoder`] takes what comes, in pieces of any size, and gives frames; a [`Frame`] encodes itself for a
//! [`Version`]. Bodies are text: what this crate is for, SockJS, carries nothing else. Source: the specifications at
//! <https://stomp.github.io>, named where a line follows them.
//!
//! ```
//! use sockhop_stomp::{Command, Decoder, Frame, Incoming, Limits, Version};
//!
//! let mut decoder = Decoder::new(Limits::default());
//! decoder.feed(b"SEND\ndestination:/topic/a\n\nhel");
//! assert_eq!(decoder.next(), Ok(None));
//! decoder.feed(b"lo\0\n");
//! let Ok(Some(Incoming::Frame(frame))) = decoder.next() else { panic!("a frame") };
//! assert_eq!((frame.command, frame.body.as_str()), (Command::Send, "hello"));
//! assert_eq!(frame.headers.get("destination"), Some("/topic/a"));
//! assert_eq!(decoder.next(), Ok(Some(Incoming::HeartBeat)));
//!
//! let receipt = Frame::new(Command::Receipt).with("receipt-id", "a:1");
//! assert_eq!(receipt.encode(Version::V1_2), "RECEIPT\nreceipt-id:a\\c1\n\n\0");
//! ```

mod decode;
mod encode;
mod escape;
mod frame;
mod heartbeat;
mod version;

pub use decode::{DecodeError, Decoder, Incoming, Limits};
pub use encode::encode;
pub use frame::{Command, Frame, Headers};
pub use heartbeat::{HeartBeat, InvalidHeartBeat};
pub use version::{UnsupportedVersion, Version};
