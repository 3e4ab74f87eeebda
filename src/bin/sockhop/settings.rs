//! From options as given to settings that are whole and checked.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use config::{Config, File, FileFormat};
use sockhop::ChannelPattern;
use sockhop::server::{Drain, Limits};
use sockhop::stomp::Queues;
use sockhop::store::{IdMemory, ListName, RedisLists, RedisStore, RedisStoreBuilder, Retention};

use crate::api::{ApiPlace, ApiSettings};
use crate::file;
use crate::options::{HandlerKind, LogFormat, LogLevel, Options};
use crate::stomp::{read, told};
use crate::tuning::Tuning;
use crate::units::Time;

/// All that the server needs to know.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) services: Vec<ServiceSettings>,
    /// The services that bring their own handlers start from this.
    pub(crate) tuning: Tuning,
    pub(crate) test_services: bool,
    pub(crate) page: bool,
    pub(crate) demo: bool,
    pub(crate) www: Option<PathBuf>,
    pub(crate) metrics: bool,
    pub(crate) show_node: bool,
    pub(crate) limits: Limits,
    pub(crate) max_sessions: usize,
    pub(crate) max_topics: usize,
    pub(crate) queues: Queues,
    /// What channels keep that none of `channels` names.
    pub(crate) retention: Retention,
    pub(crate) channels: Vec<(ChannelPattern, Retention)>,
    pub(crate) id_memory: IdMemory,
    pub(crate) drain: Drain,
    pub(crate) api: Option<ApiSettings>,
    /// Where sessions live, if not in memory.
    pub(crate) store: Option<RedisStoreBuilder>,
    /// The list whose messages are published.
    pub(crate) publish_list: Option<ListName>,
    /// Where lists are, if not in the store.
    pub(crate) list_store: Option<String>,
    pub(crate) log_level: LogLevel,
    pub(crate) log_format: LogFormat,
}

/// One service of the settings.
#[derive(Debug)]
pub(crate) struct ServiceSettings {
    pub(crate) prefix: String,
    pub(crate) handler: HandlerKind,
    pub(crate) tuning: Tuning,
}

impl Settings {
    /// Flags and environment, over a file's options where there is a file, checked.
    pub(crate) fn load(given: &Options, file: Option<&Path>) -> anyhow::Result<Self> {
        let mut sources = Config::builder();
        if let Some(file) = file {
            let text =
                std::fs::read_to_string(file).with_context(|| format!("could not read {}", file.display()))?;
            let source = File::from_str(&text, FileFormat::Toml);
            file::check(source.clone()).with_context(|| file.display().to_string())?;
            sources = sources.add_source(source);
        }
        let options: Options = sources.add_source(Config::try_from(given)?).build()?.try_deserialize()?;
        Self::check(options)
    }

    fn check(options: Options) -> anyhow::Result<Self> {
        let mut limits = Limits::default();
        limits.connections =
            at_least("max-connections", options.max_connections.unwrap_or(limits.connections), 1)?;
        limits.connections_per_address = options
            .max_connections_per_address
            .map(|most| at_least("max-connections-per-address", most, 1))
            .transpose()?;
        limits.header_timeout = time("header-timeout", options.header_timeout, limits.header_timeout)?;
        limits.stalled_timeout = time("stalled-timeout", options.stalled_timeout, limits.stalled_timeout)?;
        let header_bytes = options.header_limit.map_or(limits.header_bytes, |size| size.0);
        limits.header_bytes = at_least("header-limit", header_bytes, 8192)?;
        let mut drain = Drain::default();
        drain.grace = match options.drain_grace {
            None => drain.grace,
            Some(Time(Duration::ZERO)) => Duration::ZERO,
            given => time("drain-grace", given, drain.grace)?,
        };
        drain.timeout = time("drain-timeout", options.drain_timeout, drain.timeout)?;
        options.service.check()?;

        let mut services = Vec::new();
        for service in options.services {
            let prefix = service.prefix;
            check_prefix(&prefix)?;
            if let Some(unknown) = service.unknown.keys().next() {
                return Err(file::unknown_option(unknown)).with_context(|| format!("service {prefix}"));
            }
            if services.iter().any(|known: &ServiceSettings| known.prefix == prefix) {
                bail!("service {prefix} is there twice: each prefix can have one service");
            }
            service.tuning.check().with_context(|| format!("service {prefix}"))?;
            let tuning = service.tuning.or(&options.service);
            services.push(ServiceSettings { prefix, handler: service.handler, tuning });
        }
        let retention = options.keeping.over(Retention::default())?;
        let channels =
            options.channels.iter().map(|channels| channels.check(retention)).collect::<Result<_, _>>()?;
        let settings = Self {
            retention,
            channels,
            id_memory: id_memory(options.id_memory, options.id_memory_time)?,
            listen: options.listen.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 8081))),
            services,
            tuning: options.service,
            test_services: options.test_services.unwrap_or(false),
            page: options.page.unwrap_or(true),
            demo: options.demo.unwrap_or(false),
            www: options.www,
            metrics: options.metrics.unwrap_or(false),
            show_node: options.show_node.unwrap_or(false),
            limits,
            max_sessions: at_least("max-sessions", options.max_sessions.unwrap_or(1_000_000), 1)?,
            queues: options.queues.map(Queues::from).unwrap_or_default(),
            max_topics: at_least("max-topics", options.max_topics.unwrap_or(10_000), 1)?,
            drain,
            api: options.api.check()?,
            store: store(
                options.store.as_deref(),
                options.store_ca.as_deref(),
                options.store_prefix,
                options.store_timeout,
                options.store_lease,
            )?,
            publish_list: publish_list(options.publish_list.as_deref())?,
            list_store: list_store(options.list_store)?,
            log_level: options.log_level.unwrap_or(LogLevel::Info),
            log_format: options.log_format.unwrap_or(LogFormat::Text),
        };
        settings.check_lists()?;
        if settings.demo && !settings.page {
            bail!("demo: the chat belongs to the page, which is switched off; use --demo=false");
        }
        if settings.demo && settings.services.iter().any(|service| service.prefix == "/chat") {
            bail!("demo: the chat's page is at /chat/; give service /chat another prefix, or use --demo=false");
        }
        if let Some(ApiSettings { place: ApiPlace::Path(path), .. }) = &settings.api
            && let Some(service) = settings.services.iter().find(|service| {
                let below = format!("{path}/v1/");
                below.strip_prefix(&service.prefix).is_some_and(|rest| rest.starts_with('/'))
            })
        {
            bail!("api-path = {path}: service {} has this path already", service.prefix);
        }
        if let Some(www) = &settings.www
            && !www.is_dir()
        {
            bail!("www = {}: this is no folder", www.display());
        }
        Ok(settings)
    }
}

impl Settings {
    /// Lists are in a Redis.
    fn check_lists(&self) -> anyhow::Result<()> {
        if self.store.is_some() || self.list_store.is_some() {
            return Ok(());
        }
        let of_services = self.services.iter().map(|service| &service.tuning).any(crate::hooks::need_lists);
        match (of_services, &self.publish_list) {
            (true, _) => bail!("app-hooks: lists of workers are in a Redis: name it with store or list-store"),
            (_, Some(name)) => {
                bail!("publish-list = {name}: lists are in a Redis: name it with store or list-store")
            }
            _ => Ok(()),
        }
    }
}

fn id_memory(ids: Option<usize>, time_given: Option<Time>) -> anyhow::Result<IdMemory> {
    let default = IdMemory::default();
    Ok(IdMemory {
        ids: at_least("id-memory", ids.unwrap_or(default.ids), 1)?,
        time: time("id-memory-time", time_given, default.time)?,
    })
}

fn publish_list(name: Option<&str>) -> anyhow::Result<Option<ListName>> {
    name.map(|name| name.parse().context("publish-list")).transpose()
}

fn list_store(url: Option<String>) -> anyhow::Result<Option<String>> {
    if let Some(url) = &url {
        RedisLists::check(url).map_err(|error| anyhow::anyhow!("list-store: {error}"))?;
    }
    Ok(url)
}

/// The store on other machines that is asked for, if one is.
fn store(
    url: Option<&str>,
    authorities: Option<&Path>,
    prefix: Option<String>,
    timeout: Option<Time>,
    lease: Option<Time>,
) -> anyhow::Result<Option<RedisStoreBuilder>> {
    let prefix = prefix.unwrap_or_else(|| "sockhop".to_owned());
    if prefix.is_empty() || !prefix.chars().all(|c| c.is_ascii_graphic() && c != '{' && c != '}') {
        bail!("store-prefix = {prefix:?}: it needs visible ASCII characters, and no braces");
    }
    let timeout = time("store-timeout", timeout, Duration::from_secs(2))?;
    let lease = time("store-lease", lease, Duration::from_secs(15))?;
    if lease < 2 * timeout {
        bail!("store-lease = {lease:?}: it must be at least twice the store-timeout, {timeout:?}");
    }
    match url {
        None | Some("memory") if authorities.is_some() => {
            bail!("store-ca: there is no store that is reached with TLS")
        }
        None | Some("memory") => Ok(None),
        Some(url) => {
            let mut builder =
                RedisStore::builder(url).map_err(|error| anyhow::anyhow!("store: {error}, or `memory`"))?;
            if let Some(file) = authorities {
                let pem = read("store-ca", file)?;
                builder = builder.authorities(&pem).with_context(|| told("store-ca", file))?;
            }
            Ok(Some(builder.prefix(&prefix).timeout(timeout).lease(lease)))
        }
    }
}

pub(crate) fn check_prefix(prefix: &str) -> anyhow::Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~%".contains(&byte);
    let valid = prefix.starts_with('/')
        && prefix.len() > 1
        && !prefix.ends_with('/')
        && !prefix.contains("//")
        && prefix.bytes().all(allowed);
    if !valid {
        bail!("prefix = {prefix:?}: a prefix is a path like /chat, without a slash at its end");
    }
    Ok(())
}

pub(crate) fn time(name: &str, given: Option<Time>, default: Duration) -> anyhow::Result<Duration> {
    let time = given.map_or(default, |time| time.0);
    if time < Duration::from_millis(1) {
        bail!("{name} = {}: use at least 1ms", Time(time));
    }
    if given.is_some() && time > LONGEST {
        bail!("{name} = {}: use at most 365days", Time(time));
    }
    Ok(time)
}

/// Longer times would not be meant, and clocks could not add them.
pub(crate) const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

pub(crate) fn at_least(name: &str, value: usize, least: usize) -> anyhow::Result<usize> {
    if value < least {
        bail!("{name} = {value}: use at least {least}");
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        options: Options,
    }

    fn load(flags: &[&str], file: Option<&str>) -> anyhow::Result<Settings> {
        let flags = Flags::parse_from(std::iter::once(&"test").chain(flags));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sockhop.toml");
        if let Some(text) = file {
            std::fs::write(&path, text).unwrap();
        }
        Settings::load(&flags.options, file.map(|_| path.as_path()))
    }

    fn refused(flags: &[&str], file: Option<&str>) -> String {
        format!("{:#}", load(flags, file).expect_err("these settings are wrong"))
    }

    #[test]
    fn without_a_word_everything_has_a_default() {
        let settings = load(&[], None).unwrap();
        assert_eq!(settings.listen, "127.0.0.1:8081".parse().unwrap());
        assert!(settings.page && !settings.test_services && settings.services.is_empty());
    }

    #[test]
    fn flags_win_over_the_file() {
        let file = "listen = \"127.0.0.1:1\"\nheartbeat = \"7s\"\ndrain-timeout = \"3s\"\n";
        let settings = load(&["--heartbeat", "9s", "--listen", "127.0.0.1:2"], Some(file)).unwrap();
        assert_eq!(settings.listen.port(), 2);
        assert_eq!(settings.tuning.heartbeat, Some(Time(Duration::from_secs(9))));
        assert_eq!(settings.drain.timeout, Duration::from_secs(3));
    }

    #[test]
    fn how_long_ids_are_remembered_is_said_by_number_and_time() {
        assert_eq!(load(&[], None).unwrap().id_memory, IdMemory::default());
        let settings = load(&["--id-memory", "7"], Some("id-memory = 5\nid-memory-time = \"90s\"")).unwrap();
        assert_eq!(settings.id_memory, IdMemory { ids: 7, time: Duration::from_secs(90) });
    }

    #[test]
    fn a_service_of_the_file_starts_from_the_common_options() {
        let file =
            "cookie-needed = true\n[[services]]\nprefix = \"/chat\"\nhandler = \"broadcast\"\nwebsocket = false\n";
        let settings = load(&["--heartbeat", "9s"], Some(file)).unwrap();
        let [chat] = settings.services.as_slice() else { panic!("one service") };
        assert_eq!((chat.prefix.as_str(), chat.handler), ("/chat", HandlerKind::Broadcast));
        assert_eq!((chat.tuning.websocket, chat.tuning.cookie_needed), (Some(false), Some(true)));
        assert_eq!(chat.tuning.heartbeat, Some(Time(Duration::from_secs(9))));
    }

    #[test]
    fn channels_start_from_the_common_retention_and_the_first_pattern_counts() {
        let file = "retention-messages = 9\nretention-time = \"1h\"\n\
            [[channels]]\npattern = \"news/*\"\nretention-messages = 5\n\
            [[channels]]\npattern = \"*\"\nretention-bytes = \"1KiB\"\n";
        let settings = load(&["--retention-bytes", "2KiB"], Some(file)).unwrap();
        let common = Retention { entries: 9, bytes: 2048, age: Duration::from_secs(3600) };
        assert_eq!(settings.retention, common);
        let expected = [
            ("news/*".parse().unwrap(), Retention { entries: 5, ..common }),
            ("*".parse().unwrap(), Retention { bytes: 1024, ..common }),
        ];
        assert_eq!(settings.channels, expected);
        assert_eq!(load(&[], None).unwrap().retention, Retention::default());
    }

    #[test]
    fn a_service_may_have_no_resume_where_others_have() {
        let file = "resume = \"2m\"\n[[services]]\nprefix = \"/a\"\nhandler = \"echo\"\nresume = \"0s\"\n";
        let settings = load(&[], Some(file)).unwrap();
        assert_eq!(settings.tuning.resume().unwrap(), Some(Duration::from_secs(120)));
        assert_eq!(settings.services[0].tuning.resume().unwrap(), None);
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        for (file, parts) in [
            ("hearbeat = \"25s\"", &["sockhop.toml", "hearbeat", "did you mean `heartbeat`?"][..]),
            ("max_sessions = 5", &["max_sessions", "did you mean `max-sessions`?"]),
            ("max-topics = 0", &["max-topics = 0", "at least 1"]),
            ("stomp-max-headers = 0", &["stomp-max-headers = 0", "at least 1"]),
            ("stomp-max-subscriptions = 0", &["stomp-max-subscriptions = 0", "at least 1"]),
            ("stomp-frame-limit = \"big\"", &["stomp-frame-limit", "big", "128KiB"]),
            ("stomp-heart-beat = \"9000years\"", &["stomp-heart-beat", "365days"]),
            ("jwt-jwks-ca = \"ca.pem\"", &["jwt-jwks-ca", "jwt-jwks"]),
            ("heartbeat = \"soon\"", &["heartbeat", "soon", "25s"]),
            ("heartbeat = \"0s\"", &["heartbeat", "1ms"]),
            ("heartbeat = \"9000years\"", &["heartbeat", "365days"]),
            ("demo = true\npage = false", &["demo", "page", "--demo=false"]),
            ("demo = true\n[[services]]\nprefix = \"/chat\"\nhandler = \"echo\"", &["demo", "/chat", "prefix"]),
            ("retention-messages = 0", &["retention-messages = 0", "at least 1"]),
            ("retention-time = \"soon\"", &["retention-time", "soon", "500ms"]),
            ("id-memory = 0", &["id-memory = 0", "at least 1"]),
            ("id-memory = \"many\"", &["id-memory", "many"]),
            ("id-memory-time = \"0s\"", &["id-memory-time = 0s", "at least 1ms"]),
            ("id-memory-time = \"9000years\"", &["id-memory-time", "at most 365days"]),
            ("id-memori = 5", &["id-memori", "did you mean `id-memory`?"]),
            ("[[channels]]\nretention-messages = 5", &["pattern", "news/*"]),
            ("[[channels]]\npattern = \"\"", &["channels", "1 to 512 bytes"]),
            (
                "[[channels]]\npattern = \"a\"\nretention-bytes = \"big\"",
                &["channels a", "retention-bytes", "128KiB"],
            ),
            (
                "[[channels]]\npattern = \"a\"\nretention-mesages = 5",
                &["\"a\"", "retention-mesages", "`retention-messages`?"],
            ),
            ("[channels]\npattern = \"a\"", &["[[channels]]"]),
            ("resume = \"31m\"", &["resume", "31m", "at most 30m", "0s"]),
            ("max-connections = \"many\"", &["max-connections", "many"]),
            ("max-connections = 0", &["max-connections = 0", "at least 1"]),
            ("unread-limit = \"big\"", &["unread-limit", "big", "128KiB"]),
            ("origins = [\"app.example.com\"]", &["origins", "app.example.com", "https://"]),
            ("iframe-client-url = \"x.js\"", &["iframe-client-url", "x.js"]),
            ("request-id-header = \"a b\"", &["request-id-header", "a b", "none"]),
            ("[[services]]\nprefix = \"chat\"\nhandler = \"echo\"", &["prefix", "chat", "/chat"]),
            ("[[services]]\nprefix = \"/a\"\nhandler = \"eco\"", &["eco", "echo"]),
            (
                "[[services]]\nprefix = \"/a\"\nhandler = \"echo\"\nheartbet = \"1s\"",
                &["/a", "heartbet", "`heartbeat`?"],
            ),
            ("rules = [\"all /topic/** admins\"]", &["rules", "admins", "roles=admin"]),
            ("presence = [\"/queue/**\"]", &["presence", "/queue/**", "below /topic/"]),
            ("anonymous = true", &["anonymous", "jwt-secret"]),
            ("jwt-cookie = \"token\"", &["jwt-cookie", "jwt-jwks"]),
            ("app-hooks = [\"/app/**\"]", &["app-hooks", "/app/** https://backend.example.com/sockhop"]),
            ("app-hooks = [\"/topic/a http://x\"]", &["app-hooks", "/topic/a", "begin with /app/"]),
            ("app-hooks = [\"/app/** ftp://x\"]", &["app-hooks", "ftp://x", "http or https"]),
            ("app-hooks = [\"/app/** redis:a{b\"]", &["app-hooks", "a{b", "sockhop:{publish}"]),
            (
                "app-hooks = [\"/app/** redis:orders\"]\n[[services]]\nprefix = \"/ws\"\nhandler = \"stomp\"",
                &["app-hooks", "list-store"],
            ),
            ("app-list-limit = 5", &["app-list-limit", "redis:"]),
            ("publish-list = \"news\"", &["publish-list", "news", "list-store"]),
            ("publish-list = \"\"", &["publish-list", "1 to 256 bytes"]),
            ("list-store = \"http://x\"", &["list-store", "redis://"]),
            ("connect-hook = \"backend\"", &["connect-hook", "backend", "http or https"]),
            ("disconnect-hook = \"http://a:b@x\"", &["disconnect-hook", "without user and password"]),
            ("hook-timeout = \"1s\"", &["hook-timeout", "connect-hook"]),
            ("connect-hook = \"http://x\"\nhook-timeout = \"0s\"", &["hook-timeout", "1ms"]),
            ("connect-hook = \"http://x\"\nhook-concurrency = 0", &["hook-concurrency = 0", "at least 1"]),
            ("listen =", &["sockhop.toml"]),
            ("www = \"/no/such/folder\"", &["www", "/no/such/folder"]),
        ] {
            let message = refused(&[], Some(file));
            for part in parts {
                assert!(message.contains(part), "{file:?} gave {message:?}, without {part:?}");
            }
        }
        let twice = ["--service", "/a=echo", "--service", "/a=broadcast"];
        assert!(refused(&twice, None).contains("/a is there twice"));
    }

    #[test]
    fn a_wrong_flag_says_what_would_be_right() {
        for (flag, value, right) in [
            ("--heartbeat", "soon", "25s"),
            ("--response-limit", "big", "128KiB"),
            ("--service", "/chat", "PREFIX=HANDLER"),
            ("--service", "/chat=what", "echo, broadcast or stomp"),
            ("--log-level", "loud", "debug"),
        ] {
            let error = Flags::try_parse_from(["test", flag, value]).err().expect("wrong").to_string();
            assert!(error.contains(right) && error.contains(value), "{error}");
        }
    }
}
