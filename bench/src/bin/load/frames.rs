//! What arrives: plain messages, or SockJS frames with any number of messages in each.

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;

use crate::message;
use crate::stomp::{self, Told};

/// How messages are wrapped.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum Dialect {
    /// The payload is the message.
    Plain,
    /// Out: `["x"]`. In: `o`, `h`, `a["x","y"]`, `c[code,"reason"]`.
    Sockjs,
    /// The same, and each message is a frame of STOMP.
    Stomp,
}

/// Checks that one session's messages arrive complete and in order.
pub(crate) struct Inbox {
    dialect: Dialect,
    opened: bool,
    next: u64,
}

impl Inbox {
    /// An inbox whose first message has the number 0.
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self { dialect, opened: dialect == Dialect::Plain, next: 0 }
    }

    /// Whether the session is open: at once when plain, with the frame `o` in SockJS, with the receipt that ends the greeting
    /// in STOMP.
    pub(crate) fn is_open(&self) -> bool {
        self.opened
    }

    /// How many messages have arrived.
    pub(crate) fn received(&self) -> u64 {
        self.next
    }

    /// Takes one frame in; gives the number of messages in it.
    ///
    /// # Errors
    /// When a message is not the expected one, or the session was closed or began anew.
    pub(crate) fn take(&mut self, frame: &[u8]) -> anyhow::Result<u64> {
        let before = self.next;
        match (self.dialect, frame.first()) {
            (Dialect::Plain, _) => self.check(frame)?,
            (Dialect::Sockjs, Some(b'a')) => each_string(&frame[1..], |text| self.check(text))?,
            (Dialect::Stomp, Some(b'a')) => each_string(&frame[1..], |text| self.stomp(text))?,
            (Dialect::Stomp, Some(b'o')) if !self.opened => {}
            (Dialect::Sockjs | Dialect::Stomp, Some(b'h')) => {}
            (Dialect::Sockjs, Some(b'o')) if !self.opened => self.opened = true,
            _ => bail!("unexpected frame: {:?}", String::from_utf8_lossy(frame)),
        }
        Ok(self.next - before)
    }

    fn stomp(&mut self, frame: &[u8]) -> anyhow::Result<()> {
        match stomp::read(frame)? {
            Told::Connected => {}
            Told::Receipt => self.opened = true,
            Told::Message(body) => self.check(body)?,
        }
        Ok(())
    }

    fn check(&mut self, text: &[u8]) -> anyhow::Result<()> {
        let number = message::number(text)?;
        ensure!(number == self.next, "message {} expected, {number} came", self.next);
        self.next += 1;
        Ok(())
    }
}

/// Calls `visit` with the raw text of each element of a JSON array of strings, escapes left as they are.
fn each_string(array: &[u8], mut visit: impl FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let malformed = || format!("not an array of strings: {:?}", String::from_utf8_lossy(array));
    let inner = array.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")).with_context(malformed)?;
    if inner.is_empty() {
        return Ok(());
    }
    let mut rest = inner;
    loop {
        let text = rest.strip_prefix(b"\"").with_context(malformed)?;
        let end = closing_quote(text).with_context(malformed)?;
        visit(&text[..end])?;
        rest = &text[end + 1..];
        if rest.is_empty() {
            return Ok(());
        }
        rest = rest.strip_prefix(b",").with_context(malformed)?;
    }
}

fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b'"', b'\\', &text[from..])?;
        if text[at] == b'"' {
            return Some(at);
        }
        from = (at + 2).min(text.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Template;

    fn frame(before: &[u8], numbers: &[u64], after: &[u8]) -> Vec<u8> {
        let template = Template::new(b"\"", b"\"");
        let mut out = before.to_vec();
        for (place, &number) in numbers.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            template.append(number, &mut out);
        }
        out.extend_from_slice(after);
        out
    }

    #[test]
    fn all_messages_of_a_batched_frame_are_counted() {
        let mut inbox = Inbox::new(Dialect::Sockjs);
        assert_eq!(inbox.take(b"o").unwrap(), 0);
        assert!(inbox.is_open());
        assert_eq!(inbox.take(&frame(b"a[", &[0, 1, 2], b"]")).unwrap(), 3);
        assert_eq!(inbox.take(b"h").unwrap(), 0);
        assert_eq!(inbox.take(b"a[]").unwrap(), 0);
        assert_eq!(inbox.take(&frame(b"a[", &[3], b"]")).unwrap(), 1);
        assert_eq!(inbox.received(), 4);
    }

    #[test]
    fn lost_repeated_and_swapped_messages_are_refused() {
        for numbers in [&[1][..], &[0, 0], &[1, 0], &[0, 2]] {
            let mut inbox = Inbox::new(Dialect::Sockjs);
            inbox.take(b"o").unwrap();
            assert!(inbox.take(&frame(b"a[", numbers, b"]")).is_err(), "{numbers:?}");
        }
    }

    #[test]
    fn a_close_a_second_open_and_nonsense_are_refused() {
        for wrong in [&b"c[3000,\"Go away!\"]"[..], b"o", b"x", b"", b"a", b"a[", b"a[\"]", b"a[1]"] {
            let mut inbox = Inbox::new(Dialect::Sockjs);
            inbox.take(b"o").unwrap();
            assert!(inbox.take(wrong).is_err(), "{:?}", String::from_utf8_lossy(wrong));
        }
    }

    #[test]
    fn an_escaped_quote_does_not_end_a_string() {
        let mut texts = Vec::new();
        each_string(br#"["a\"b","c\\","d"]"#, |text| {
            texts.push(text.to_vec());
            Ok(())
        })
        .unwrap();
        assert_eq!(texts, [&br#"a\"b"#[..], br"c\\", b"d"]);
        assert!(each_string(br#"["a\"]"#, |_| Ok(())).is_err());
    }

    #[test]
    fn a_session_of_stomp_is_open_with_its_receipt_and_counts_its_messages() {
        let mut inbox = Inbox::new(Dialect::Stomp);
        for (frame, is_open) in [(&b"o"[..], false), (br#"a["CONNECTED\n\n\u0000"]"#, false)] {
            inbox.take(frame).unwrap();
            assert_eq!(inbox.is_open(), is_open);
        }
        inbox.take(br#"a["RECEIPT\nreceipt-id:r\n\n\u0000"]"#).unwrap();
        assert!(inbox.is_open());
        let mut message = br#"a["MESSAGE\nsubscription:sub-0\n\n"#.to_vec();
        Template::new(b"", br#"\u0000"]"#).append(0, &mut message);
        assert_eq!(inbox.take(&message).unwrap(), 1);
        assert!(inbox.take(br#"a["ERROR\n\n\u0000"]"#).is_err());
    }

    #[test]
    fn a_plain_payload_is_one_message() {
        let mut inbox = Inbox::new(Dialect::Plain);
        assert!(inbox.is_open());
        let mut out = Vec::new();
        Template::new(b"", b"").append(0, &mut out);
        assert_eq!(inbox.take(&out).unwrap(), 1);
    }
}
