//! `GET …/htmlfile`: frames as script elements of a page that never ends loading.

use bytes::Bytes;

use crate::quote::quote_into;
use crate::receive::{Kind, Wire};
use crate::{Callback, Frame};

pub(crate) struct Htmlfile(pub(crate) Callback);

/// Safari shows nothing of a page below 1 KiB.
const HEAD_SIZE: usize = 1024;

const BEFORE_CALLBACK: &str = r#"<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent."#;

const AFTER_CALLBACK: &str = r#";
    c.start();
    function p(d) {c.message(d);};
    window.onload = function() {c.stop();};
  </script>"#;

impl Wire for Htmlfile {
    const CONTENT_TYPE: &'static str = "text/html; charset=UTF-8";
    const KIND: Kind = Kind::Stream;

    fn prelude(&self) -> Bytes {
        let mut head = String::with_capacity(HEAD_SIZE + 8);
        head.push_str(BEFORE_CALLBACK);
        head.push_str(self.0.as_str());
        head.push_str(AFTER_CALLBACK);
        while head.len() <= HEAD_SIZE {
            head.push(' ');
        }
        head.push_str("\r\n\r\n");
        head.into()
    }

    fn wrap(&self, frame: &Frame) -> Bytes {
        match frame {
            Frame::Messages(messages) if messages.len() == 1 => messages[0].htmlfile(),
            frame => script(&frame.encode()),
        }
    }
}

/// The script that hands over a frame. `<` is escaped, so that no message can end the script element.
pub(crate) fn script(frame: &[u8]) -> Bytes {
    let mut script = Vec::with_capacity(frame.len() + 48);
    script.extend_from_slice(b"<script>\np(");
    let mut quoted = Vec::with_capacity(frame.len() + 16);
    quote_into(&mut quoted, std::str::from_utf8(frame).expect("frames are text"));
    for byte in quoted {
        match byte {
            b'<' => script.extend_from_slice(b"\\u003c"),
            byte => script.push(byte),
        }
    }
    script.extend_from_slice(b");\n</script>\r\n");
    script.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;
    use crate::receive::wrapped;

    fn htmlfile() -> Htmlfile {
        Htmlfile(Callback::from_query("c=_jp.cb").unwrap())
    }

    #[test]
    fn the_head_is_padded_with_space_behind_the_script() {
        let head = String::from_utf8(htmlfile().prelude().to_vec()).unwrap();
        assert!(head.len() > 1024 && head.ends_with(" \r\n\r\n"));
        assert!(head.trim_end().ends_with("</script>") && head.contains("var c = parent._jp.cb;\n"));
    }

    #[test]
    fn a_message_cannot_end_the_script() {
        let message = Frame::Messages([Message::new("</script>\"")].into());
        assert_eq!(
            wrapped(&htmlfile(), &message),
            "<script>\np(\"a[\\\"\\u003c/script>\\\\\\\"\\\"]\");\n</script>\r\n"
        );
        assert_eq!(wrapped(&htmlfile(), &Frame::Open), "<script>\np(\"o\");\n</script>\r\n");
    }
}
