//! No bytes make the decoder panic, and what it takes for a frame comes back as it was written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sockhop_stomp::{Decoder, Incoming, Limits, Version};

fuzz_target!(|input: (u8, Vec<Vec<u8>>)| {
    let (version, pieces) = input;
    let version = Version::ALL[usize::from(version) % Version::ALL.len()];
    let mut decoder = Decoder::resume(Limits::default(), version, Vec::new());
    for piece in pieces {
        decoder.feed(&piece);
        loop {
            match decoder.next() {
                Ok(Some(Incoming::Frame(frame))) => {
                    let mut again = Decoder::resume(Limits::default(), version, Vec::new());
                    again.feed(frame.encode(version).as_bytes());
                    if let Ok(Some(Incoming::Frame(read))) = again.next() {
                        assert_eq!((read.command, read.body), (frame.command, frame.body));
                    }
                }
                Ok(Some(Incoming::HeartBeat)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
});
