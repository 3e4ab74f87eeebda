//! `redis-benchmark` with the publish script, as a node calls it.

use std::net::SocketAddr;
use std::process::Stdio;

use anyhow::{Context, ensure};
use sockhop_bench::redis::Redis;
use tokio::process::{Child, Command};

/// A call of the publish script: the command's words, fit for a command line.
pub(super) struct Call(Vec<String>);

/// Where in the command the number of the batch is: behind the name, the script, the number of keys, two keys, and seven
/// arguments.
const NUMBER_AT: usize = 12;

/// A number that is never the one before nor less: each call appends, none is taken for a repetition.
const NUMBER: &str = "nan";

/// What a server is asked to tell about the commands it gets.
pub(super) struct Monitor(Redis);

impl Monitor {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub(super) fn start(address: SocketAddr) -> anyhow::Result<Self> {
        let mut redis = Redis::connect(address)?;
        redis.ask(&["MONITOR"])?;
        Ok(Self(redis))
    }

    /// The first call of the publish script that was seen.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn publish(mut self) -> anyhow::Result<Call> {
        loop {
            let line = self.0.answer().context("waiting for a node to publish")?;
            let words = words(&line);
            if words.first().is_some_and(|word| word == b"EVALSHA")
                && words.get(3).is_some_and(|key| key.ends_with(b":head"))
                && words.len() > NUMBER_AT
            {
                return Ok(Call::new(words));
            }
        }
    }
}

impl Call {
    /// Command lines take no zero bytes, and to the script all bytes of messages and names are the same.
    fn new(words: Vec<Vec<u8>>) -> Self {
        let text = |word: Vec<u8>| match String::from_utf8(word) {
            Ok(word) if word.bytes().all(|byte| byte.is_ascii_graphic()) => word,
            Ok(word) => "x".repeat(word.len()),
            Err(error) => "x".repeat(error.as_bytes().len()),
        };
        let mut words: Vec<_> = words.into_iter().map(text).collect();
        words[NUMBER_AT] = NUMBER.to_owned();
        Self(words)
    }

    /// The command that makes `count` of them.
    pub(super) fn command(&self, address: SocketAddr, clients: u32, pipeline: u32, count: u64) -> Command {
        let mut command = Command::new("redis-benchmark");
        command.args(["-h", &address.ip().to_string(), "-p", &address.port().to_string(), "--csv"]);
        command.args(["-c", &clients.to_string(), "-P", &pipeline.to_string(), "-n", &count.to_string()]);
        command.args(&self.0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        command
    }
}

/// Calls per second, as `redis-benchmark` tells.
///
/// # Errors
/// When it fails.
pub(super) async fn rate(benchmark: Child) -> anyhow::Result<f64> {
    let output = benchmark.wait_with_output().await?;
    ensure!(output.status.success(), "redis-benchmark failed");
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().context("redis-benchmark said nothing")?;
    rate_of(line).with_context(|| format!("redis-benchmark said {line:?}"))
}

/// The second of eight columns, of which the first may hold commas itself.
fn rate_of(line: &str) -> Option<f64> {
    line.rsplit(',').nth(6)?.trim_matches('"').parse().ok()
}

/// The words of a command as `MONITOR` shows it: each in quotes, with escapes.
fn words(line: &str) -> Vec<Vec<u8>> {
    let (mut words, mut word) = (Vec::new(), None::<Vec<u8>>);
    let mut bytes = line.bytes();
    while let Some(byte) = bytes.next() {
        match (&mut word, byte) {
            (None, b'"') => word = Some(Vec::new()),
            (None, _) => {}
            (Some(_), b'"') => words.extend(word.take()),
            (Some(word), b'\\') => match bytes.next() {
                Some(b'x') => {
                    let mut digit =
                        || bytes.next().and_then(|byte| char::from(byte).to_digit(16)).unwrap_or(0) as u8;
                    word.push(digit() << 4 | digit());
                }
                Some(b'n') => word.push(b'\n'),
                Some(b'r') => word.push(b'\r'),
                Some(b't') => word.push(b'\t'),
                Some(b'a') => word.push(7),
                Some(b'b') => word.push(8),
                Some(byte) => word.push(byte),
                None => {}
            },
            (Some(word), byte) => word.push(byte),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monitored_command_is_taken_apart_and_made_fit_for_a_command_line() {
        let line = r#"1.5 [0 127.0.0.1:1] "EVALSHA" "abc" "2" "k:{c}:head" "l" "i" "\x00\x00\x00\x02\"a\"" "1" "e" "w" "9" "n\n" "7" "16""#;
        let Call(words) = Call::new(words(line));
        let expected =
            ["EVALSHA", "abc", "2", "k:{c}:head", "l", "i", "xxxxxxx", "1", "e", "w", "9", "xx", "nan", "16"];
        assert_eq!(words, expected);
    }

    #[test]
    fn the_rate_is_found_behind_a_name_with_commas() {
        let line = r#""EVALSHA a,b","22321.43","71.306","7.440","55.775","171.135","272.383","272.895""#;
        assert_eq!(rate_of(line), Some(22_321.43));
        assert_eq!(rate_of("no"), None);
    }
}
