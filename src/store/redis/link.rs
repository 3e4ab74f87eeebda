//! One connection to one server, and what is known of that server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, PushInfo, PushKind, RedisError, Value,
};
use tokio_util::sync::CancellationToken;

use super::post::Post;
use super::script;

/// A live connection for commands. Whatever goes over it reaches this very run of this very server.
#[derive(Clone)]
pub(super) struct Link {
    connection: MultiplexedConnection,
    post: Arc<Post>,
    /// Names the server's run: after a restart, or at another server, it is another.
    pub(super) run: [u8; 8],
    pub(super) since: Instant,
    /// Cancelled once the connection is of no use any more.
    pub(super) closed: CancellationToken,
}

/// Why a server cannot be used.
#[derive(Debug, Clone)]
pub(super) enum Unusable {
    /// For now: it is not there, still loads, or is no primary.
    Yet(String),
    /// As long as nobody changes its settings or ours.
    Ever(String),
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Yet(reason) | Self::Ever(reason) => f.write_str(reason),
        }
    }
}

impl From<RedisError> for Unusable {
    fn from(error: RedisError) -> Self {
        let said = reason(&error);
        if error.kind() == ErrorKind::RESP3NotSupported || said.contains("unknown command 'HELLO'") {
            return Self::Ever(format!("it does not speak RESP3 ({said}); {NEEDED}"));
        }
        let denied = error.kind() == ErrorKind::AuthenticationFailed
            || ["WRONGPASS", "NOAUTH", "NOPERM"].iter().any(|code| said.starts_with(code));
        if denied { Self::Ever(said) } else { Self::Yet(said) }
    }
}

/// What a server has to be.
const NEEDED: &str = "sockhop needs Redis 7 or later, or Valkey";

/// What a server said, in words.
pub(super) fn reason(error: &RedisError) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    // Of a pipeline, the first command that failed says it all.
    let said = error.clone().into_server_errors().and_then(|errors| errors.first().map(|(_, said)| said.clone()));
    match said {
        Some(said) => format!("{} {}", said.code(), said.details().unwrap_or_default()),
        None => match (error.code(), error.detail()) {
            (Some(code), Some(detail)) => format!("{code} {detail}"),
            _ => error.to_string(),
        },
    }
}

impl Link {
    /// Connects to a primary, and makes it know the scripts.
    pub(super) async fn open(info: ConnectionInfo, timeout: Duration) -> Result<Self, Unusable> {
        let closed = CancellationToken::new();
        let lost = closed.clone();
        let on_push = move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                lost.cancel();
            }
            Ok::<(), redis::aio::SendError>(())
        };
        let mut connection = connect(info, timeout, on_push).await?;
        let run = greet(&mut connection).await?;
        let mut load = redis::pipe();
        for script in script::ALL {
            load.add_command(script.load());
        }
        load.exec_async(&mut connection).await?;
        let post = Post::over(connection.clone());
        Ok(Self { connection, post, run, since: Instant::now(), closed })
    }

    pub(super) async fn send(&self, command: Cmd) -> Result<Value, RedisError> {
        let gone = || Err(RedisError::from((ErrorKind::Io, "the connection was given up")));
        let answer = self.post.send(command).await.unwrap_or_else(gone);
        self.judge(answer).and_then(|answer| match answer {
            Value::ServerError(error) => Err(error.into()),
            answer => Ok(answer),
        })
    }

    /// Sends a command whose answer nobody waits for.
    pub(super) fn drop_in(&self, command: Cmd) {
        self.post.drop_in(command);
    }

    pub(super) async fn send_all(
        &self,
        pipeline: &redis::Pipeline,
        count: usize,
    ) -> Result<Vec<Value>, RedisError> {
        let answer = self.connection.clone().send_packed_commands(pipeline, 0, count).await;
        self.judge(answer)
    }

    /// A connection that gave no answer is not used again: what was sent over it may yet run, but late.
    fn judge<T>(&self, answer: Result<T, RedisError>) -> Result<T, RedisError> {
        if let Err(error) = &answer
            && (error.is_timeout() || error.is_unrecoverable_error() || error.is_io_error())
        {
            self.closed.cancel();
        }
        answer
    }
}

/// Connects, with a sink for what the server says unasked.
pub(super) async fn connect(
    info: ConnectionInfo,
    timeout: Duration,
    on_push: impl Fn(PushInfo) -> Result<(), redis::aio::SendError> + Send + Sync + 'static,
) -> Result<MultiplexedConnection, RedisError> {
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(timeout))
        .set_response_timeout(Some(timeout))
        .set_push_sender(Arc::new(on_push));
    Client::open(info)?.get_multiplexed_async_connection_with_config(&settings).await
}

/// Makes sure that the server is a primary of a version that will do; the name of its run.
async fn greet(connection: &mut MultiplexedConnection) -> Result<[u8; 8], Unusable> {
    let mut ask = redis::pipe();
    ask.cmd("INFO").arg("server").cmd("INFO").arg("replication");
    let (server, replication): (String, String) = ask.query_async(connection).await?;
    let field = |info: &str, name: &str| {
        info.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
    };
    let version = field(&server, "valkey_version").or_else(|| field(&server, "redis_version")).unwrap_or_default();
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < 7) {
        return Err(Unusable::Ever(format!("its version is {version:?}; {NEEDED}")));
    }
    if field(&replication, "role").as_deref() != Some("master") {
        return Err(Unusable::Yet("it is a read-only replica, not the primary".to_owned()));
    }
    let run = field(&server, "run_id").unwrap_or_default();
    let name = run.get(..16).and_then(|start| u64::from_str_radix(start, 16).ok());
    let name = name.ok_or_else(|| Unusable::Ever(format!("its run id {run:?} is none")))?;
    Ok(name.to_be_bytes())
}

/// What `maxmemory-policy` the server has, where it tells.
pub(super) async fn eviction(link: &Link) -> Option<String> {
    let mut ask = redis::cmd("CONFIG");
    ask.arg("GET").arg("maxmemory-policy");
    let answer = link.send(ask).await.ok()?;
    let pairs: std::collections::HashMap<String, String> = redis::from_redis_value(answer).ok()?;
    pairs.into_values().next()
}
