//! What a client of STOMP says, and what is a message in what it is told: frames in SockJS messages.

use std::fmt::Write;

use anyhow::{Context, bail};

/// What a frame from the server is.
#[derive(Debug, PartialEq)]
pub(crate) enum Told<'a> {
    Connected,
    Receipt,
    /// Its body.
    Message(&'a [u8]),
}

/// What stands before the body of a message to the topic that has the first subscription, and behind it.
pub(crate) const SEND: (&[u8], &[u8]) = (br#"["SEND\ndestination:/topic/rooms/lobby-0\n\n"#, br#"\u0000"]"#);

/// What a client says to be connected and subscribed to so many topics, message by message. The last is answered with a
/// receipt: ending a subscription that there is not is no error.
pub(crate) fn greeting(subscriptions: u32) -> Vec<String> {
    let connect = "CONNECT\\naccept-version:1.2\\nheart-beat:0,0\\n\\n".to_owned();
    let subscribe =
        |number| format!("SUBSCRIBE\\nid:sub-{number}\\ndestination:/topic/rooms/lobby-{number}\\n\\n");
    let last = "UNSUBSCRIBE\\nid:none\\nreceipt:r\\n\\n".to_owned();
    let mut messages: Vec<_> =
        [connect].into_iter().chain((0..subscriptions).map(subscribe)).chain([last]).collect();
    for message in &mut messages {
        let frame = std::mem::take(message);
        let _ = write!(message, "[\"{frame}\\u0000\"]");
    }
    messages
}

/// Reads a frame, its escapes left as they are.
///
/// # Errors
/// When it is none of these.
pub(crate) fn read(text: &[u8]) -> anyhow::Result<Told<'_>> {
    let strange = || format!("unexpected frame: {:?}", String::from_utf8_lossy(text));
    if text.starts_with(b"CONNECTED") {
        return Ok(Told::Connected);
    }
    if text.starts_with(b"RECEIPT") {
        return Ok(Told::Receipt);
    }
    if !text.starts_with(b"MESSAGE") {
        bail!(strange());
    }
    let end_of_head = memchr::memmem::find(text, br"\n\n").with_context(strange)?;
    let body = text[end_of_head + 4..].strip_suffix(br"\u0000").with_context(strange)?;
    Ok(Told::Message(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_connects_subscribes_and_asks_for_a_receipt() {
        let greeting = greeting(2);
        assert_eq!(greeting.len(), 4);
        assert!(
            greeting[0].starts_with(r#"["CONNECT\n"#) && greeting[0].ends_with(r#"\n\n\u0000"]"#),
            "{greeting:?}"
        );
        assert!(greeting[2].contains(r"id:sub-1\ndestination:/topic/rooms/lobby-1\n"), "{greeting:?}");
        assert!(greeting[3].contains(r"receipt:r\n"), "{greeting:?}");
    }

    #[test]
    fn the_body_of_a_message_is_found_and_an_error_is_one() {
        let message = br"MESSAGE\nsubscription:sub-0\ncontent-length:2\n\nhi\u0000";
        assert_eq!(read(message).unwrap(), Told::Message(b"hi"));
        assert_eq!(read(br"RECEIPT\nreceipt-id:r\n\n\u0000").unwrap(), Told::Receipt);
        for wrong in [&br"ERROR\n\n\u0000"[..], br"MESSAGE\n", br"MESSAGE\n\nhi", b""] {
            assert!(read(wrong).is_err());
        }
    }
}
