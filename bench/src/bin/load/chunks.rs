//! The chunked coding of HTTP/1.1 bodies, read piece by piece.

use anyhow::{Context, ensure};

/// A size line is longer than this only if something is wrong.
const LONGEST_LINE: usize = 1024;

/// Where in a chunked body the reader is.
#[derive(Debug, Default, PartialEq)]
pub(crate) enum Chunks {
    /// Before a size line.
    #[default]
    Size,
    /// Inside a chunk with this many bytes to come.
    Data(usize),
    /// At the line end behind a chunk's data.
    AfterData,
    /// Behind the last chunk, before the empty line.
    Trailer,
    /// Behind the body.
    Done,
}

impl Chunks {
    /// Decodes what it can of `input`, appends the data to `out`, and gives the bytes it has used.
    ///
    /// # Errors
    /// When the coding is broken.
    pub(crate) fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> anyhow::Result<usize> {
        let mut used = 0;
        while *self != Self::Done {
            let rest = &input[used..];
            if let Self::Data(left) = *self {
                let count = left.min(rest.len());
                out.extend_from_slice(&rest[..count]);
                used += count;
                if count < left {
                    *self = Self::Data(left - count);
                    break;
                }
                *self = Self::AfterData;
                continue;
            }
            let Some(end) = memchr::memchr(b'\n', rest) else {
                ensure!(rest.len() <= LONGEST_LINE, "an endless line in a chunked body");
                break;
            };
            let line = rest[..end].strip_suffix(b"\r").context("a bare line feed in a chunked body")?;
            *self = self.after_line(line)?;
            used += end + 1;
        }
        Ok(used)
    }

    fn after_line(&self, line: &[u8]) -> anyhow::Result<Self> {
        Ok(match self {
            Self::Size => match size(line)? {
                0 => Self::Trailer,
                size => Self::Data(size),
            },
            Self::AfterData => {
                ensure!(line.is_empty(), "a chunk is longer than its size");
                Self::Size
            }
            Self::Trailer if line.is_empty() => Self::Done,
            Self::Trailer | Self::Data(_) | Self::Done => Self::Trailer,
        })
    }
}

fn size(line: &[u8]) -> anyhow::Result<usize> {
    let digits = line.split(|&byte| byte == b';').next().unwrap_or(line);
    let digits = std::str::from_utf8(digits)?.trim();
    usize::from_str_radix(digits, 16).with_context(|| format!("the chunk size {digits:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"2\r\no\n\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";

    #[test]
    fn a_body_decodes_the_same_however_it_is_split() {
        for split in 0..BODY.len() {
            let mut chunks = Chunks::default();
            let mut out = Vec::new();
            let used = chunks.decode(&BODY[..split], &mut out).unwrap();
            let rest = used + chunks.decode(&BODY[used..], &mut out).unwrap();
            assert_eq!((chunks, rest), (Chunks::Done, BODY.len()), "split at {split}");
            assert_eq!(out, b"o\n0123456789");
        }
    }

    #[test]
    fn what_follows_the_body_is_left_alone() {
        let mut chunks = Chunks::default();
        let used = chunks.decode(b"0\r\n\r\nHTTP/1.1 200 OK", &mut Vec::new()).unwrap();
        assert_eq!(used, 5);
    }

    #[test]
    fn broken_coding_is_refused() {
        for broken in [&b"x\r\n"[..], b"2\n", b"2\r\nabc\r\n", &[b'1'; 2000]] {
            assert!(Chunks::default().decode(broken, &mut Vec::new()).is_err());
        }
    }
}
