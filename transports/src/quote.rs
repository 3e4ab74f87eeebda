//! JSON quoting as SockJS wants it.
//!
//! Standard JSON, and beyond that every code unit that some browser or proxy strips, changes or cannot hold
//! in a JavaScript literal is written as `\uxxxx` with lower-case hex. Source: the SockJS 0.3 protocol, section
//! "Unicode" of its test suite; the set is that of the reference server.

/// Appends `text` to `out` as a quoted JSON string.
pub(crate) fn quote_into(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut copied = 0;
    let mut at = plain_blocks(bytes);
    while at < bytes.len() {
        let byte = bytes[at];
        if !needs_care(byte) {
            at += 1;
            continue;
        }
        let char = text[at..].chars().next().expect("`at` stands on a character");
        let width = char.len_utf8();
        if must_escape(char) {
            out.extend_from_slice(&bytes[copied..at]);
            escape_into(out, char);
            copied = at + width;
        }
        at += width;
        at += plain_blocks(&bytes[at..]);
    }
    out.extend_from_slice(&bytes[copied..]);
    out.push(b'"');
}

/// `text` as a quoted JSON string.
///
/// ```
/// assert_eq!(sockhop_transports::quote("a\"b\u{200c}"), r#""a\"b\u200c""#);
/// ```
#[must_use]
pub fn quote(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    quote_into(&mut out, text);
    String::from_utf8(out).expect("whole characters of a string, or ASCII, were appended")
}

/// How many bytes at the beginning are copied without a look, in whole blocks.
fn plain_blocks(bytes: &[u8]) -> usize {
    // No look ends a block early, so that the compiler takes many bytes at a time.
    let is_plain = |block: &&[u8]| !block.iter().fold(false, |care, byte| care | needs_care(*byte));
    BLOCK * bytes.chunks_exact(BLOCK).take_while(is_plain).count()
}

const BLOCK: usize = 32;

/// Whether a character that begins so may have to be escaped; all others are copied without a look.
fn needs_care(byte: u8) -> bool {
    // U+2000 to U+2FFF, U+F000 to U+FFFF, beyond the basic plane.
    (byte < 0x20) | (byte == b'"') | (byte == b'\\') | (byte == 0xe2) | (byte >= 0xef)
}

fn must_escape(char: char) -> bool {
    matches!(char,
        '\0'..='\x1f' | '"' | '\\'
        | '\u{200c}'..='\u{200f}'
        | '\u{2028}'..='\u{202f}'
        | '\u{2060}'..='\u{206f}'
        | '\u{fff0}'..='\u{ffff}'
        | '\u{10000}'..)
}

fn escape_into(out: &mut Vec<u8>, char: char) {
    let short = match char {
        '"' => b'"',
        '\\' => b'\\',
        '\u{8}' => b'b',
        '\t' => b't',
        '\n' => b'n',
        '\u{c}' => b'f',
        '\r' => b'r',
        _ => {
            for unit in char.encode_utf16(&mut [0; 2]) {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let digit = |shift: u16| HEX[usize::from((*unit >> shift) & 0xf)];
                out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
            }
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_are_lower_case_and_short_where_json_has_a_short_form() {
        for (text, quoted) in [
            ("", r#""""#),
            ("plain /text", r#""plain /text""#),
            ("\"\\", r#""\"\\""#),
            ("\u{8}\t\n\u{c}\r", r#""\b\t\n\f\r""#),
            ("\0\u{1f}\u{7f}", "\"\\u0000\\u001f\u{7f}\""),
            ("\u{200b}\u{200c}\u{200f}\u{2010}", "\"\u{200b}\\u200c\\u200f\u{2010}\""),
            ("\u{2028}\u{202f}\u{2030}", "\"\\u2028\\u202f\u{2030}\""),
            ("\u{2060}\u{206f}\u{2070}", "\"\\u2060\\u206f\u{2070}\""),
            ("\u{ffef}\u{fff0}\u{ffff}", "\"\u{ffef}\\ufff0\\uffff\""),
            ("é€\u{d7ff}\u{e000}", "\"é€\u{d7ff}\u{e000}\""),
            ("😀\u{10ffff}", r#""\ud83d\ude00\udbff\udfff""#),
        ] {
            assert_eq!(quote(text), quoted, "of {text:?}");
        }
    }

    #[test]
    fn what_has_to_be_escaped_is_found_wherever_blocks_begin_and_end() {
        for plain in ["x", "é", "가"] {
            for before in 0..2 * BLOCK + 2 {
                for after in [0, 1, BLOCK, 2 * BLOCK + 1] {
                    for (special, escaped) in
                        [("\"", "\\\""), ("\n", "\\n"), ("\u{2028}", "\\u2028"), ("😀", "\\ud83d\\ude00")]
                    {
                        let (before, after) = (plain.repeat(before), plain.repeat(after));
                        let quoted = format!("\"{before}{escaped}{after}\"");
                        assert_eq!(quote(&format!("{before}{special}{after}")), quoted);
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_json_parser_reads_the_text_back(text in ".*") {
            prop_assert_eq!(serde_json::from_str::<String>(&quote(&text)).unwrap(), text);
        }

        #[test]
        fn nothing_that_must_be_escaped_stands_in_the_text(text in "[\0-\u{10ffff}]*") {
            let quoted = quote(&text);
            let inner = &quoted[1..quoted.len() - 1];
            prop_assert!(inner.chars().all(|char| matches!(char, '"' | '\\') || !must_escape(char)));
        }
    }
}
