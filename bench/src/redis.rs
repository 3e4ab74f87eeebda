//! As little of Redis's protocol as the measuring programs need: one command at a time over a blocking socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::process;

/// An answer that takes longer than this does not come.
const LONGEST: Duration = Duration::from_secs(20);

/// A connection to a Redis server.
#[derive(Debug)]
pub struct Redis {
    stream: BufReader<TcpStream>,
    process: Option<u32>,
}

/// What a server has spent so far, or between two instants.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// CPU seconds.
    pub cpu_seconds: f64,
    /// Scripts that it ran.
    pub scripts: u64,
    /// Messages that it published by Pub/Sub, those of scripts among them.
    pub hints: u64,
}

impl Spent {
    /// What was spent since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds - before.cpu_seconds,
            scripts: self.scripts - before.scripts,
            hints: self.hints - before.hints,
        }
    }
}

impl Redis {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("connecting to Redis at {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LONGEST))?;
        Ok(Self { stream: BufReader::new(stream), process: None })
    }

    /// Sends a command; gives the answer's text, whether it is a number, a line or a string.
    ///
    /// # Errors
    /// When the connection breaks, the server refuses, or the answer is a list.
    pub fn ask(&mut self, command: &[&str]) -> anyhow::Result<String> {
        self.send(command)?;
        self.answer().with_context(|| format!("the answer to {:?}", command.first().unwrap_or(&"")))
    }

    /// Sends a command without waiting for the answer.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn send(&mut self, command: &[&str]) -> anyhow::Result<()> {
        self.stream.get_mut().write_all(&encoded(command))?;
        Ok(())
    }

    /// Reads one answer, or one field of a list whose beginning was read by [`list`](Self::list).
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub fn answer(&mut self) -> anyhow::Result<String> {
        let line = self.line()?;
        let (kind, rest) = line.split_at_checked(1).context("an empty line")?;
        match kind {
            "+" | ":" => Ok(rest.to_owned()),
            "$" => self.string(rest.parse()?),
            _ => bail!("{line}"),
        }
    }

    /// Reads the beginning of a list; gives the number of its fields.
    ///
    /// # Errors
    /// When something else comes.
    pub fn list(&mut self) -> anyhow::Result<usize> {
        let line = self.line()?;
        let count = line.strip_prefix('*').with_context(|| format!("a list expected, {line:?} came"))?;
        Ok(count.parse()?)
    }

    /// What the server has spent so far. It has to be on this machine.
    ///
    /// # Errors
    /// When it does not tell.
    pub fn spent(&mut self) -> anyhow::Result<Spent> {
        let process = self.process()?;
        let info = self.ask(&["INFO", "commandstats"])?;
        let (scripts, hints) = (calls(&info, "evalsha"), calls(&info, "spublish"));
        Ok(Spent { cpu_seconds: process::cpu_seconds(process)?, scripts, hints })
    }

    /// The server's process.
    fn process(&mut self) -> anyhow::Result<u32> {
        if let Some(process) = self.process {
            return Ok(process);
        }
        let info = self.ask(&["INFO", "server"])?;
        let line = info.lines().find_map(|line| line.strip_prefix("process_id:"));
        let process = line.context("the server does not tell its process id")?.trim().parse()?;
        self.process = Some(process);
        Ok(process)
    }

    fn string(&mut self, length: i64) -> anyhow::Result<String> {
        let Ok(length) = usize::try_from(length) else { return Ok(String::new()) };
        ensure!(length <= 1024 * 1024, "an answer of {length} bytes");
        let mut bytes = vec![0; length + 2];
        self.stream.read_exact(&mut bytes)?;
        bytes.truncate(length);
        Ok(String::from_utf8(bytes)?)
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        ensure!(self.stream.read_line(&mut line)? > 0, "the server closed the connection");
        Ok(line.trim_end().to_owned())
    }
}

/// A command as it goes on the wire.
#[must_use]
pub fn encoded(command: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
    for argument in command {
        bytes.extend_from_slice(format!("${}\r\n{argument}\r\n", argument.len()).as_bytes());
    }
    bytes
}

fn calls(info: &str, command: &str) -> u64 {
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_")?.strip_prefix(command)?.strip_prefix(":calls="));
    line.and_then(|line| line.split(',').next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn calls_are_found_by_the_commands_whole_name() {
        let info = "# Commandstats\r\ncmdstat_evalsha_ro:calls=9,usec=1\r\ncmdstat_evalsha:calls=12,usec=34,usec_per_call=2\r\n";
        assert_eq!(calls(info, "evalsha"), 12);
        assert_eq!(calls(info, "spublish"), 0);
    }

    #[test]
    fn commands_are_arrays_of_strings() {
        assert_eq!(encoded(&["GET", "a b"]), b"*2\r\n$3\r\nGET\r\n$3\r\na b\r\n");
    }

    #[test]
    fn answers_of_each_kind_are_read_and_errors_are_errors() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut redis = Redis::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(b"+OK\r\n:7\r\n$3\r\na\r\n\r\n*2\r\n$-1\r\n$0\r\n\r\n-ERR no\r\n").unwrap();
        assert_eq!(redis.answer().unwrap(), "OK");
        assert_eq!(redis.answer().unwrap(), "7");
        assert_eq!(redis.answer().unwrap(), "a\r\n");
        assert_eq!(redis.list().unwrap(), 2);
        assert_eq!((redis.answer().unwrap(), redis.answer().unwrap()), (String::new(), String::new()));
        assert!(redis.answer().unwrap_err().to_string().contains("ERR no"));
    }
}
