//! `GET …/jsonp`: a poll, answered with a script that calls back.

use bytes::Bytes;

use crate::quote::quote_into;
use crate::receive::{Kind, Wire};
use crate::{Callback, Frame};

pub(crate) struct Jsonp(pub(crate) Callback);

impl Wire for Jsonp {
    const CONTENT_TYPE: &'static str = "application/javascript; charset=UTF-8";
    const KIND: Kind = Kind::Poll;

    fn wrap(&self, frame: &Frame) -> Bytes {
        let frame = frame.encode();
        let mut script = Vec::with_capacity(frame.len() + 64);
        // The comment keeps the answer from being taken for another kind of file by its first bytes.
        script.extend_from_slice(b"/**/");
        script.extend_from_slice(self.0.as_str().as_bytes());
        script.push(b'(');
        quote_into(&mut script, std::str::from_utf8(&frame).expect("frames are text"));
        script.extend_from_slice(b");\r\n");
        script.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;
    use crate::receive::wrapped;

    #[test]
    fn a_frame_is_a_string_handed_to_the_callback() {
        let jsonp = Jsonp(Callback::from_query("c=x.y").unwrap());
        assert_eq!(wrapped(&jsonp, &Frame::Open), "/**/x.y(\"o\");\r\n");
        let message = Frame::Messages([Message::new("a\"</script>")].into());
        assert_eq!(wrapped(&jsonp, &message), "/**/x.y(\"a[\\\"a\\\\\\\"</script>\\\"]\");\r\n");
    }
}
