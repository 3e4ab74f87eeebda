//! How a frame is written.

use crate::escape::escape_into;
use crate::{Command, Frame, Version};

impl Frame {
    /// The frame as text, its final NUL included. A body gets its `content-length`, where the headers have none. What
    /// a header cannot hold in this version, such as a line feed in 1.0, becomes a space.
    #[must_use]
    pub fn encode(&self, version: Version) -> String {
        encode(self.command, self.headers.iter(), &self.body, version)
    }
}

/// The frame of these parts as [`Frame::encode`] writes it.
#[must_use]
pub fn encode<'a>(
    command: Command,
    headers: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    body: &str,
    version: Version,
) -> String {
    let size = headers.clone().map(|(name, value)| name.len() + value.len() + 2).sum::<usize>();
    let mut text = String::with_capacity(size + body.len() + 48);
    text.push_str(command.name());
    text.push('\n');
    let mut has_length = body.is_empty();
    for (name, value) in headers {
        has_length |= name == "content-length";
        write_header(&mut text, name, value, version, command.has_escapes());
    }
    if !has_length {
        write_header(&mut text, "content-length", &body.len().to_string(), version, false);
    }
    text.push('\n');
    text.push_str(body);
    text.push('\0');
    text
}

fn write_header(text: &mut String, name: &str, value: &str, version: Version, escapes: bool) {
    if escapes && version != Version::V1_0 {
        escape_into(name, version, true, text);
    } else {
        // Without escapes a colon would end the name.
        escape_into(&name.replace(':', " "), version, false, text);
    }
    text.push(':');
    escape_into(value, version, escapes, text);
    text.push('\n');
}
