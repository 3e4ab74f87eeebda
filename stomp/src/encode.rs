//! How a frame is written.

use crate::escape::escape_into;
use crate::{Frame, Version};

impl Frame {
    /// The frame as text, its final NUL included. A body gets its `content-length`, where the headers have none. What
    /// a header cannot hold in this version, such as a line feed in 1.0, becomes a space.
    #[must_use]
    pub fn encode(&self, version: Version) -> String {
        let size = self.headers.iter().map(|(name, value)| name.len() + value.len() + 2).sum::<usize>();
        let mut text = String::with_capacity(size + self.body.len() + 48);
        text.push_str(self.command.name());
        text.push('\n');
        for (name, value) in self.headers.iter() {
            write_header(&mut text, name, value, version, self.command.has_escapes());
        }
        if !self.body.is_empty() && self.headers.get("content-length").is_none() {
            write_header(&mut text, "content-length", &self.body.len().to_string(), version, false);
        }
        text.push('\n');
        text.push_str(&self.body);
        text.push('\0');
        text
    }
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
