//! The options as they are given: by flags, environment and file, under the same names.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::api::ApiOptions;
use crate::channels::{ChannelOptions, Keeping};
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

/// Options of a service.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Tuning {
    /// Silence after which a client gets a heartbeat; above 30s jsonp clients give up [default: 25s]
    #[arg(long, env = "SOCKHOP_HEARTBEAT", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) heartbeat: Option<Time>,

    /// How long a session lives while its client is between two requests [default: 5s]
    #[arg(long, env = "SOCKHOP_DISCONNECT_DELAY", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) disconnect_delay: Option<Time>,

    /// How long a session whose client has lost its connection waits for it to resume; 0s: clients cannot resume; at
    /// most 30m [default: 0s]
    #[arg(long, env = "SOCKHOP_RESUME", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resume: Option<Time>,

    /// Bytes after which a streaming response ends and the client opens its next [default: 128KiB]
    #[arg(long, env = "SOCKHOP_RESPONSE_LIMIT", value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) response_limit: Option<Size>,

    /// Bytes that may wait for a client; more close its session with 4501 [default: 1MiB]
    #[arg(long, env = "SOCKHOP_UNREAD_LIMIT", value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unread_limit: Option<Size>,

    /// Bytes of one message from a client; longer ones get 413, or 1009 on a WebSocket [default: 1MiB]
    #[arg(long, env = "SOCKHOP_MESSAGE_LIMIT", value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message_limit: Option<Size>,

    /// Bytes of one request body; longer ones get 413 [default: 4MiB]
    #[arg(long, env = "SOCKHOP_BODY_LIMIT", value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body_limit: Option<Size>,

    /// Time for a request body to arrive; slower ones get 408 [default: 30s]
    #[arg(long, env = "SOCKHOP_BODY_TIMEOUT", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body_timeout: Option<Time>,

    /// Messages that one client may send in a second; more close its session with 4502 [default: any number]
    #[arg(long, env = "SOCKHOP_MAX_MESSAGES_PER_SECOND", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_messages_per_second: Option<u32>,

    /// Origins of pages that may connect, such as https://app.example.com; may be given again [default: all]
    #[arg(long, env = "SOCKHOP_ORIGINS", value_name = "ORIGIN", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) origins: Option<Vec<String>>,

    /// Set a JSESSIONID cookie, for balancers that are sticky by it [default: false]
    #[arg(long, env = "SOCKHOP_COOKIE_NEEDED", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cookie_needed: Option<bool>,

    /// Offer the websocket transports [default: true]
    #[arg(long, env = "SOCKHOP_WEBSOCKET", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) websocket: Option<bool>,

    /// Where iframe pages load sockjs-client from, the very version that your pages use [default: the one that this
    /// server serves, 1.6.1]
    #[arg(long, env = "SOCKHOP_IFRAME_CLIENT_URL", value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) iframe_client_url: Option<String>,

    /// Header by which your balancer names each request and its repeats, such as x-request-id; `none` if it does not
    /// [default: none]
    #[arg(long, env = "SOCKHOP_REQUEST_ID_HEADER", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request_id_header: Option<String>,

    /// Of STOMP: bytes of one frame of a client; a longer one is an ERROR [default: 64KiB]
    #[arg(long, env = "SOCKHOP_STOMP_FRAME_LIMIT", value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stomp_frame_limit: Option<Size>,

    /// Of STOMP: headers of one frame of a client; one more is an ERROR [default: 100]
    #[arg(long, env = "SOCKHOP_STOMP_MAX_HEADERS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stomp_max_headers: Option<usize>,

    /// Of STOMP: bytes of a frame's headers, command included; more are an ERROR [default: 16KiB]
    #[arg(long, env = "SOCKHOP_STOMP_HEADER_LIMIT", value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stomp_header_limit: Option<Size>,

    /// Of STOMP: bytes of frames that may wait in a session's open transactions; more are an ERROR [default: 256KiB]
    #[arg(long, env = "SOCKHOP_STOMP_TRANSACTION_LIMIT", value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stomp_transaction_limit: Option<Size>,

    /// Of STOMP: subscriptions that a session may have, those that wildcards lead to included; one more is an ERROR
    /// [default: 200]
    #[arg(long, env = "SOCKHOP_STOMP_MAX_SUBSCRIPTIONS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stomp_max_subscriptions: Option<usize>,

    /// Of STOMP: silence after which each side sends a heart-beat, where the client wants that; 0s for none
    /// [default: 10s]
    #[arg(long, env = "SOCKHOP_STOMP_HEART_BEAT", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stomp_heart_beat: Option<Time>,

    /// Of STOMP: file with the secret that signs clients' tokens (HS256, HS384, HS512), at least 32 bytes; with any
    /// of the jwt-… keys, clients need a token [default: none]
    #[arg(long, env = "SOCKHOP_JWT_SECRET", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jwt_secret: Option<PathBuf>,

    /// Of STOMP: file with the public key of those who sign clients' tokens, as PEM (RS, PS, ES) [default: none]
    #[arg(long, env = "SOCKHOP_JWT_KEY", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jwt_key: Option<PathBuf>,

    /// Of STOMP: file or URL of the JSON Web Key Set of those who sign clients' tokens [default: none]
    #[arg(long, env = "SOCKHOP_JWT_JWKS", value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jwt_jwks: Option<String>,

    /// Of STOMP: certificates of the authorities that are trusted when the key set is read over https, in PEM format
    /// [default: those of the system]
    #[arg(long, env = "SOCKHOP_JWT_JWKS_CA", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jwt_jwks_ca: Option<PathBuf>,

    /// Of STOMP: the `iss` that tokens must have [default: any]
    #[arg(long, env = "SOCKHOP_JWT_ISSUER", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jwt_issuer: Option<String>,

    /// Of STOMP: the `aud` that tokens must have [default: any]
    #[arg(long, env = "SOCKHOP_JWT_AUDIENCE", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jwt_audience: Option<String>,

    /// Of STOMP: how far the clocks of those who sign tokens may be off [default: 60s]
    #[arg(long, env = "SOCKHOP_JWT_LEEWAY", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jwt_leeway: Option<Time>,

    /// Of STOMP: the claim that holds the user's name [default: sub]
    #[arg(long, env = "SOCKHOP_JWT_USER_CLAIM", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jwt_user_claim: Option<String>,

    /// Of STOMP: a cookie that may hold the token, beside Authorization and passcode of CONNECT; name your pages with
    /// --origins then [default: none]
    #[arg(long, env = "SOCKHOP_JWT_COOKIE", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jwt_cookie: Option<String>,

    /// Of STOMP: a query parameter that may hold the token [default: none]
    #[arg(long, env = "SOCKHOP_JWT_QUERY", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jwt_query: Option<String>,

    /// Of STOMP: let clients without a token in, too [default: false]
    #[arg(long, env = "SOCKHOP_ANONYMOUS", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) anonymous: Option<bool>,

    /// Of STOMP: who may do what, such as `subscribe /topic/news/** anyone`; may be given again; what no rule allows is
    /// then forbidden [default: all may do everything]
    #[arg(long, env = "SOCKHOP_RULES", value_name = "RULE", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rules: Option<Vec<String>>,

    /// Of STOMP: keep who is in these destinations, such as `/topic/rooms/**`, and tell it at `/presence/topic/rooms/...`;
    /// may be given again [default: none]
    #[arg(long, env = "SOCKHOP_PRESENCE", value_name = "PATTERN", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) presence: Option<Vec<String>>,

    /// Of STOMP: who handles what clients send to the application, such as `/app/** https://backend.example.com/sockhop`
    /// or, for workers that pop from a list in Redis, `/app/orders/** redis:sockhop:orders`; may be given again; the first
    /// whose destination fits gets a message [default: nobody]
    #[arg(long, env = "SOCKHOP_APP_HOOKS", value_name = "HOOK", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) app_hooks: Option<Vec<String>>,

    /// Of STOMP: messages that may wait in a list of workers; more are refused [default: 100000]
    #[arg(long, env = "SOCKHOP_APP_LIST_LIMIT", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) app_list_limit: Option<usize>,

    /// Of STOMP: URL that is asked who a connecting client is and what it may do [default: none]
    #[arg(long, env = "SOCKHOP_CONNECT_HOOK", value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connect_hook: Option<String>,

    /// Of STOMP: URL that is told of the end of each session that had connected [default: none]
    #[arg(long, env = "SOCKHOP_DISCONNECT_HOOK", value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) disconnect_hook: Option<String>,

    /// Of STOMP: file with the secret that signs calls of hooks, at least 32 bytes [default: none, they are not signed]
    #[arg(long, env = "SOCKHOP_HOOK_SECRET", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hook_secret: Option<PathBuf>,

    /// Of STOMP: how long a hook is waited for, all tries included [default: 5s]
    #[arg(long, env = "SOCKHOP_HOOK_TIMEOUT", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hook_timeout: Option<Time>,

    /// Of STOMP: calls of one hook at once, of this node; sixteen times as many may wait, more are refused [default: 64]
    #[arg(long, env = "SOCKHOP_HOOK_CONCURRENCY", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hook_concurrency: Option<usize>,

    /// Of STOMP: bytes of a hook's answer; a longer one is none [default: 256KiB]
    #[arg(long, env = "SOCKHOP_HOOK_ANSWER_LIMIT", value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hook_answer_limit: Option<Size>,
}

impl Tuning {
    /// What is said here, else what `base` says.
    pub(crate) fn or(self, base: &Self) -> Self {
        let base = base.clone();
        Self {
            heartbeat: self.heartbeat.or(base.heartbeat),
            disconnect_delay: self.disconnect_delay.or(base.disconnect_delay),
            resume: self.resume.or(base.resume),
            response_limit: self.response_limit.or(base.response_limit),
            unread_limit: self.unread_limit.or(base.unread_limit),
            message_limit: self.message_limit.or(base.message_limit),
            body_limit: self.body_limit.or(base.body_limit),
            body_timeout: self.body_timeout.or(base.body_timeout),
            max_messages_per_second: self.max_messages_per_second.or(base.max_messages_per_second),
            origins: self.origins.or(base.origins),
            cookie_needed: self.cookie_needed.or(base.cookie_needed),
            websocket: self.websocket.or(base.websocket),
            iframe_client_url: self.iframe_client_url.or(base.iframe_client_url),
            request_id_header: self.request_id_header.or(base.request_id_header),
            stomp_frame_limit: self.stomp_frame_limit.or(base.stomp_frame_limit),
            stomp_max_headers: self.stomp_max_headers.or(base.stomp_max_headers),
            stomp_header_limit: self.stomp_header_limit.or(base.stomp_header_limit),
            stomp_transaction_limit: self.stomp_transaction_limit.or(base.stomp_transaction_limit),
            stomp_max_subscriptions: self.stomp_max_subscriptions.or(base.stomp_max_subscriptions),
            stomp_heart_beat: self.stomp_heart_beat.or(base.stomp_heart_beat),
            jwt_secret: self.jwt_secret.or(base.jwt_secret),
            jwt_key: self.jwt_key.or(base.jwt_key),
            jwt_jwks: self.jwt_jwks.or(base.jwt_jwks),
            jwt_jwks_ca: self.jwt_jwks_ca.or(base.jwt_jwks_ca),
            jwt_issuer: self.jwt_issuer.or(base.jwt_issuer),
            jwt_audience: self.jwt_audience.or(base.jwt_audience),
            jwt_leeway: self.jwt_leeway.or(base.jwt_leeway),
            jwt_user_claim: self.jwt_user_claim.or(base.jwt_user_claim),
            jwt_cookie: self.jwt_cookie.or(base.jwt_cookie),
            jwt_query: self.jwt_query.or(base.jwt_query),
            anonymous: self.anonymous.or(base.anonymous),
            rules: self.rules.or(base.rules),
            presence: self.presence.or(base.presence),
            app_hooks: self.app_hooks.or(base.app_hooks),
            app_list_limit: self.app_list_limit.or(base.app_list_limit),
            connect_hook: self.connect_hook.or(base.connect_hook),
            disconnect_hook: self.disconnect_hook.or(base.disconnect_hook),
            hook_secret: self.hook_secret.or(base.hook_secret),
            hook_timeout: self.hook_timeout.or(base.hook_timeout),
            hook_concurrency: self.hook_concurrency.or(base.hook_concurrency),
            hook_answer_limit: self.hook_answer_limit.or(base.hook_answer_limit),
        }
    }
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
