//! `POST …/xhr_streaming`: frames, each with a line feed.

use bytes::Bytes;

use crate::Frame;
use crate::receive::{Kind, Wire};

pub(crate) struct XhrStreaming;

/// Old Internet Explorers show nothing of a response below 2 KiB; clients read this line as a heartbeat.
static PRELUDE: [u8; 2049] = {
    let mut prelude = [b'h'; 2049];
    prelude[2048] = b'\n';
    prelude
};

/// As long, of empty lines, which clients skip.
static QUIET_PRELUDE: [u8; 2049] = [b'\n'; 2049];

impl Wire for XhrStreaming {
    const CONTENT_TYPE: &'static str = "application/javascript; charset=UTF-8";
    const KIND: Kind = Kind::Stream;

    fn prelude(&self) -> Bytes {
        Bytes::from_static(&PRELUDE)
    }

    fn quiet_prelude(&self) -> Bytes {
        Bytes::from_static(&QUIET_PRELUDE)
    }

    fn wrap(&self, frame: &Frame) -> Bytes {
        frame.line()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receive::wrapped;

    #[test]
    fn frames_end_with_a_line_feed_after_a_prelude_of_two_kib() {
        assert_eq!(XhrStreaming.prelude(), format!("{}\n", "h".repeat(2048)));
        assert_eq!(XhrStreaming.quiet_prelude(), "\n".repeat(2049));
        assert_eq!(wrapped(&XhrStreaming, &Frame::Open), "o\n");
    }
}
