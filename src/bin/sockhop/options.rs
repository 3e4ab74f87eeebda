//! The options as they are given: by flags, environment and file, under the same names.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::api::ApiOptions;
use crate::channels::{ChannelOptions, Keeping};
use crate::tuning::Tuning;
use crate::units::{Size, Time};

/// Everything that can be said about a server. What is not said is `None`; the defaults stand in
/// [`settings`](crate::settings).
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Options {
    /// Address to listen on; port 0 takes a free one and prints it [default: 127.0.0.1:8081]
    #[arg(long, env = "SOCKHOP_LISTEN", value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) listen: Option<SocketAddr>,

    /// Mount a service; may be given again. Handlers: echo, broadcast, stomp
    #[arg(long = "service", env = "SOCKHOP_SERVICE", value_name = "PREFIX=HANDLER", value_delimiter = ',')]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) services: Vec<ServiceOptions>,

    /// Mount the standard SockJS test services: /echo, /disabled_websocket_echo, /cookie_needed_echo, /close,
    /// /ticker, /amplify, /broadcast; and /ledger, for accounts of messages [default: false]
    #[arg(long, env = "SOCKHOP_TEST_SERVICES", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) test_services: Option<bool>,

    /// Serve the page with the transport lab, and its services below /demo [default: true]
    #[arg(long, env = "SOCKHOP_PAGE", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) page: Option<bool>,

    /// Serve the page's chat, at /chat/, with its service at /demo/chat [default: false]
    #[arg(long, env = "SOCKHOP_DEMO", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) demo: Option<bool>,

    /// Serve the page from this folder instead of the one inside the program
    #[arg(long, env = "SOCKHOP_WWW", value_name = "FOLDER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) www: Option<PathBuf>,

    /// Serve counters for Prometheus at /metrics [default: false]
    #[arg(long, env = "SOCKHOP_METRICS", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metrics: Option<bool>,

    /// Where sessions and channels live: `memory`, or redis://[user:password@]host[:port][/database], rediss://… with
    /// TLS, redis+unix:///path, redis-sentinel://host:port,host:port/primary-name, redis-cluster://host:port,host:port
    /// [default: memory]
    #[arg(long, env = "SOCKHOP_STORE", value_name = "URL", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<String>,

    /// What stands before every key in the store; deployments that share a server need different ones
    /// [default: sockhop]
    #[arg(long, env = "SOCKHOP_STORE_PREFIX", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) store_prefix: Option<String>,

    /// Certificates of the authorities that are trusted when the store is reached with TLS, in PEM format [default:
    /// those of the system]
    #[arg(long, env = "SOCKHOP_STORE_CA", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) store_ca: Option<PathBuf>,

    /// How long one command to the store is waited for [default: 2s]
    #[arg(long, env = "SOCKHOP_STORE_TIMEOUT", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) store_timeout: Option<Time>,

    /// How long a node may be silent before others count it as dead and let go what it holds; also how long an
    /// operation on the store is tried [default: 15s]
    #[arg(long, env = "SOCKHOP_STORE_LEASE", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) store_lease: Option<Time>,

    /// A list in Redis whose messages are published to STOMP destinations, for backends that only have a client for
    /// Redis, such as `sockhop:{publish}` [default: none]
    #[arg(long, env = "SOCKHOP_PUBLISH_LIST", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) publish_list: Option<String>,

    /// Where lists of workers and for publishing are, as a URL like that of --store [default: the store]
    #[arg(long, env = "SOCKHOP_LIST_STORE", value_name = "URL", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) list_store: Option<String>,

    /// Say with each answer which node gave it, as x-sockhop-node and as Server-Timing [default: false]
    #[arg(long, env = "SOCKHOP_SHOW_NODE", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) show_node: Option<bool>,

    /// The HTTP API for backends.
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) api: ApiOptions,

    /// What every channel keeps; a `[[channels]]` table of the file may say otherwise.
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) keeping: Keeping,

    /// Channels that keep more or less than others.
    #[arg(skip)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) channels: Vec<ChannelOptions>,

    /// Ids of messages that each channel remembers at least, so that a message which is sent again under its id is there
    /// once; the same on all nodes [default: 50000]
    #[arg(long, env = "SOCKHOP_ID_MEMORY", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id_memory: Option<usize>,

    /// How long a channel remembers an id at least, unless more than --id-memory came since; at most twice as long
    /// [default: 1h]
    #[arg(long, env = "SOCKHOP_ID_MEMORY_TIME", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id_memory_time: Option<Time>,

    /// What every service starts from; a `[[services]]` table of the file may say otherwise.
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) service: Tuning,

    /// Connections at once; one more gets 503 [default: 100000]
    #[arg(long, env = "SOCKHOP_MAX_CONNECTIONS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_connections: Option<usize>,

    /// Connections at once of one address; one more gets 429 [default: any number, since behind a balancer all have
    /// one address]
    #[arg(long, env = "SOCKHOP_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_connections_per_address: Option<usize>,

    /// Sessions at once; one more gets 503 [default: 1000000]
    #[arg(long, env = "SOCKHOP_MAX_SESSIONS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_sessions: Option<usize>,

    /// Topics of STOMP that subscriptions with wildcards can find; with one more, such subscriptions end with an ERROR that
    /// says so, and all else goes on [default: 10000]
    #[arg(long, env = "SOCKHOP_MAX_TOPICS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_topics: Option<usize>,

    /// Who gets a message to a destination of STOMP below /queue/: one of the subscribers, who has to acknowledge it, or
    /// each, as of a topic; the same on all nodes [default: shared]
    #[arg(long, env = "SOCKHOP_QUEUES", value_name = "WHO")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) queues: Option<QueueKind>,

    /// Time for a request's headers to arrive, and for an idle connection to be kept; keep it above your balancer's
    /// keep-alive time [default: 30s]
    #[arg(long, env = "SOCKHOP_HEADER_TIMEOUT", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) header_timeout: Option<Time>,

    /// Bytes of a request's line and headers; more get 431 [default: 32KiB]
    #[arg(long, env = "SOCKHOP_HEADER_LIMIT", value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) header_limit: Option<Size>,

    /// How long a peer may leave what was sent unread before its connection is dropped [default: 30s]
    #[arg(long, env = "SOCKHOP_STALLED_TIMEOUT", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stalled_timeout: Option<Time>,

    /// On SIGTERM: time to go on as before while /readyz says 503, so that balancers see it [default: 0s]
    #[arg(long, env = "SOCKHOP_DRAIN_GRACE", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) drain_grace: Option<Time>,

    /// On SIGTERM: time to end connections in order [default: 10s]
    #[arg(long, env = "SOCKHOP_DRAIN_TIMEOUT", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) drain_timeout: Option<Time>,

    /// Least severe level that is logged, to stderr [default: info]
    #[arg(long, env = "SOCKHOP_LOG_LEVEL", value_name = "LEVEL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log_level: Option<LogLevel>,

    /// How log lines are written [default: text]
    #[arg(long, env = "SOCKHOP_LOG_FORMAT", value_name = "FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log_format: Option<LogFormat>,
}

/// One service: a `[[services]]` table, or `PREFIX=HANDLER` on the command line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ServiceOptions {
    pub(crate) prefix: String,
    pub(crate) handler: HandlerKind,
    #[serde(flatten)]
    pub(crate) tuning: Tuning,
    /// What is none of the above: told, not ignored.
    #[serde(flatten, skip_serializing)]
    pub(crate) unknown: std::collections::BTreeMap<String, serde::de::IgnoredAny>,
}

impl std::str::FromStr for ServiceOptions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (prefix, handler) =
            text.split_once('=').ok_or("a service is written PREFIX=HANDLER, like /chat=broadcast")?;
        let handler = HandlerKind::named(handler)?;
        Ok(Self { prefix: prefix.to_owned(), handler, tuning: Tuning::default(), unknown: Default::default() })
    }
}

/// What a service does with messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HandlerKind {
    /// Sends each message back.
    Echo,
    /// Sends each message to all sessions of the service.
    Broadcast,
    /// Speaks STOMP: see `sockhop::stomp`.
    Stomp,
}

/// Who gets a message of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum QueueKind {
    /// One of the subscribers.
    Shared,
    /// Each of them.
    Each,
}

impl From<QueueKind> for sockhop::stomp::Queues {
    fn from(kind: QueueKind) -> Self {
        match kind {
            QueueKind::Shared => Self::Shared,
            QueueKind::Each => Self::Each,
        }
    }
}

impl HandlerKind {
    /// The handler of that name, or what would be right.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        Self::from_str(name, false)
            .map_err(|_| format!("there is no handler `{name}`: use echo, broadcast or stomp"))
    }
}

/// Least severe level that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the usual levels")]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
