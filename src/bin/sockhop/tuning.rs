//! The options of one service: as they are given, checked, and put to use.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use serde::{Deserialize, Serialize};
use sockhop::{Origins, ServiceBuilder};

use crate::page;
use crate::settings::{LONGEST, at_least, time};
use crate::units::{Size, Time};

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
    /// or, for workers that pop from a list in Redis, `/app/orders/** redis:sockhop:{orders}`; may be given again; the first
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

    /// Whether its values can be used.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        for (name, value) in [
            ("heartbeat", self.heartbeat),
            ("disconnect-delay", self.disconnect_delay),
            ("body-timeout", self.body_timeout),
        ] {
            time(name, value, LONGEST)?;
        }
        self.resume()?;
        for (name, value) in [
            ("response-limit", self.response_limit),
            ("unread-limit", self.unread_limit),
            ("message-limit", self.message_limit),
            ("body-limit", self.body_limit),
        ] {
            if let Some(Size(bytes)) = value {
                at_least(name, bytes, 1)?;
            }
        }
        if let Some(most) = self.max_messages_per_second {
            at_least("max-messages-per-second", most as usize, 1)?;
        }
        for origin in self.origins.iter().flatten() {
            let host = origin.split_once("://").map(|(_, host)| host);
            if host.is_none_or(|host| host.is_empty() || host.contains(['/', ' ', ';', ','])) {
                bail!("origins: {origin:?} is no origin; write it like https://app.example.com, without a path");
            }
        }
        if let Some(url) = &self.iframe_client_url
            && !["/", "http://", "https://"].iter().any(|start| url.starts_with(start))
        {
            bail!("iframe-client-url = {url:?}: use an http(s) URL, or a path on this server that starts with /");
        }
        self.request_id_header()?;
        crate::stomp::check(self)
    }

    /// A service with these options; what is not said stays the library's default.
    pub(crate) fn apply(&self, mut service: ServiceBuilder) -> ServiceBuilder {
        if let Some(Time(silence)) = self.heartbeat {
            service = service.heartbeat(silence);
        }
        if let Some(Time(delay)) = self.disconnect_delay {
            service = service.disconnect_delay(delay);
        }
        if let Some(Size(bytes)) = self.response_limit {
            service = service.response_limit(bytes);
        }
        if let Some(Size(bytes)) = self.unread_limit {
            service = service.unread_limit(bytes);
        }
        if let Some(Size(bytes)) = self.message_limit {
            service = service.message_limit(bytes);
        }
        if let Some(Size(bytes)) = self.body_limit {
            service = service.body_limit(bytes);
        }
        if let Some(Time(time)) = self.body_timeout {
            service = service.body_timeout(time);
        }
        if let Some(origins) = &self.origins {
            service = service.origins(Origins::Only(origins.clone()));
        }
        service
            .max_messages_per_second(self.max_messages_per_second)
            // Checked, as is the header's name below, when the settings were.
            .resume(self.resume().unwrap_or_default())
            .cookie_needed(self.cookie_needed.unwrap_or(false))
            .websocket(self.websocket.unwrap_or(true))
            .iframe_client_url(self.iframe_client_url.as_deref().unwrap_or(page::CLIENT))
            .request_id_header(self.request_id_header().unwrap_or_default())
    }

    fn request_id_header(&self) -> anyhow::Result<Option<http::HeaderName>> {
        match self.request_id_header.as_deref() {
            None | Some("none") => Ok(None),
            Some(name) => match name.parse() {
                Ok(name) => Ok(Some(name)),
                Err(_) => bail!("request-id-header = {name:?}: use a header's name, or `none`"),
            },
        }
    }

    /// How long sessions wait to be resumed, if they do.
    pub(crate) fn resume(&self) -> anyhow::Result<Option<Duration>> {
        match self.resume {
            None | Some(Time(Duration::ZERO)) => Ok(None),
            Some(given) if given.0 > ServiceBuilder::LONGEST_RESUME => {
                bail!("resume = {given}: use at most {}, or 0s for none", Time(ServiceBuilder::LONGEST_RESUME))
            }
            given => time("resume", given, Duration::ZERO).map(Some),
        }
    }
}
