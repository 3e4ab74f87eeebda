//! How header names and values are escaped, which differs between the versions.

use crate::Version;

/// Appends a name or value so that it stays one: what a version has no escape for becomes a space.
pub(crate) fn escape_into(text: &str, version: Version, escapes: bool, into: &mut String) {
    let escaped = |c: char| match (c, version) {
        ('\\', Version::V1_1 | Version::V1_2) => Some("\\\\"),
        (':', Version::V1_1 | Version::V1_2) => Some("\\c"),
        ('\n', Version::V1_1 | Version::V1_2) => Some("\\n"),
        ('\r', Version::V1_2) => Some("\\r"),
        _ => None,
    };
    for c in text.chars() {
        match escaped(c).filter(|_| escapes) {
            Some(escaped) => into.push_str(escaped),
            None if matches!(c, '\n' | '\r' | '\0') => into.push(' '),
            None => into.push(c),
        }
    }
}

/// The text behind the escapes; `None` where one is undefined. Source: STOMP 1.2, "Value Encoding": undefined ones
/// must be treated as a fatal error.
pub(crate) fn unescape(text: &str, version: Version) -> Option<String> {
    if version == Version::V1_0 || !text.contains('\\') {
        return Some(text.to_owned());
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match (chars.next()?, version) {
                ('\\', _) => '\\',
                ('c', _) => ':',
                ('n', _) => '\n',
                ('r', Version::V1_2) => '\r',
                _ => return None,
            },
            c => c,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str, version: Version) -> String {
        let mut into = String::new();
        escape_into(text, version, true, &mut into);
        into
    }

    #[test]
    fn each_version_has_its_escapes() {
        for (version, text) in [
            (Version::V1_0, "a:b\\ c d"),
            (Version::V1_1, "a\\cb\\\\\\nc d"),
            (Version::V1_2, "a\\cb\\\\\\nc\\rd"),
        ] {
            assert_eq!(escaped("a:b\\\nc\rd", version), text, "{version}");
        }
    }

    #[test]
    fn an_undefined_escape_is_an_error() {
        for (version, text) in [(Version::V1_2, "\\t"), (Version::V1_2, "\\"), (Version::V1_1, "\\r")] {
            assert_eq!(unescape(text, version), None, "{version} {text}");
        }
        assert_eq!(unescape("\\t", Version::V1_0).as_deref(), Some("\\t"));
    }
}
