//! The `serve` command: builds the services and runs them until told to stop.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use sockhop::server::{Drain, Server};
use sockhop::services::{Amplify, Broadcast, Close, Echo, Ledger, Ticker};
use sockhop::stomp::PublishList;
use sockhop::store::{RedisLists, RedisStore, Store};
use sockhop::{ChannelName, DrainReport, Node, Service, ServiceBuilder};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::api::{ApiPlace, ApiSettings};
use crate::demo::TellingEcho;
use crate::options::HandlerKind;
use crate::page;
use crate::settings::{ServiceSettings, Settings};
use crate::stomp::Around;
use crate::tuning::Tuning;
use crate::units::Size;

/// Serves until SIGTERM or SIGINT, then drains.
pub(crate) async fn run(mut settings: Settings) -> anyhow::Result<()> {
    let metrics = match settings.metrics {
        // Installed before the node is built, which takes its counters then.
        true => Some(metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder()?),
        false => None,
    };
    let mut node = Node::builder()
        .max_sessions(settings.max_sessions)
        .max_topics(settings.max_topics)
        .queues(settings.queues)
        .retention(settings.retention)
        .id_memory(settings.id_memory);
    for (pattern, retention) in std::mem::take(&mut settings.channels) {
        node = node.retention_of(pattern, retention);
    }
    if settings.demo {
        for (pattern, retention) in crate::demo::chat::retention() {
            node = node.retention_of(pattern, retention);
        }
    }
    let store = settings.store.take().map(|store| Arc::new(store.build()));
    let place = match &store {
        None => "memory: sessions end with this process".to_owned(),
        Some(store) => {
            start(store).await?;
            node = node.store(Arc::clone(store) as Arc<dyn Store>);
            store.to_string()
        }
    };
    let node = node.build();
    let lists = lists(&settings, store.as_deref())?;
    let services = services(&node, &settings, lists.as_ref())?;
    if let (Some(name), Some(lists)) = (settings.publish_list.take(), lists) {
        PublishList::new(lists, name).start(&node);
    }
    let server = Server::bind(settings.listen, settings.limits.clone())
        .with_context(|| format!("could not listen on {}", settings.listen))?
        .show_node(settings.show_node);
    let (server, api) = with_api(server, &node, &settings)?;
    let stop = stop_signal()?;
    announce(&server, api.as_ref(), &settings, &services, &place)?;
    tracing::info!(node = %node.id(), listen = %server.local_addr()?, "started");
    let rest = page::routes(&node, settings.page, settings.www.as_deref(), metrics);
    let told = CancellationToken::new();
    let beside = serve_beside(api, told.clone(), settings.drain);
    let stop = async {
        stop.await;
        told.cancel();
    };
    let (report, open) = tokio::join!(server.serve(&node, services, rest, stop, settings.drain), beside);
    let report = DrainReport { cut: report.cut + open };
    match report.cut {
        0 => tracing::info!("drained"),
        cut => tracing::warn!(cut, "drained, but not all connections ended in time"),
    }
    Ok(())
}

/// Adds the API that is asked for: to the server, or as another one.
fn with_api(server: Server, node: &Node, settings: &Settings) -> anyhow::Result<(Server, Option<Server>)> {
    let Some(asked) = &settings.api else { return Ok((server, None)) };
    let api = asked.build(node);
    match asked.place {
        ApiPlace::Path(_) => Ok((server.api(api), None)),
        ApiPlace::Address(address) => {
            let own = Server::bind(address, settings.limits.clone());
            let own = own.with_context(|| format!("api-listen: could not listen on {address}"))?;
            Ok((server, Some(own.api(api))))
        }
    }
}

/// Serves the API on its own address, as long as the other server listens. How many connections did not end in time.
async fn serve_beside(api: Option<Server>, told: CancellationToken, drain: Drain) -> usize {
    let Some(api) = api else { return 0 };
    let stop = async {
        told.cancelled().await;
        tokio::time::sleep(drain.grace).await;
    };
    api.serve_api(stop, drain.timeout).await
}

/// How long start-up waits for the store, before it goes on without: the node is not ready then, and tries again.
const STORE_WAIT: Duration = Duration::from_secs(2);

/// Waits a moment for the store; what makes it unusable for good ends the program.
async fn start(store: &Arc<RedisStore>) -> anyhow::Result<()> {
    if let Ok(started) = tokio::time::timeout(STORE_WAIT, store.started()).await {
        return Ok(started?);
    }
    tracing::warn!(store = %store, "the store cannot be reached yet: not ready, trying again");
    let store = Arc::clone(store);
    tokio::spawn(async move {
        match store.started().await {
            Ok(()) => tracing::info!(store = %store, "the store can be used"),
            Err(error) => tracing::error!(%error, "the store cannot be used"),
        }
    });
    Ok(())
}

/// Where lists are that programs of the application share.
fn lists(settings: &Settings, store: Option<&RedisStore>) -> anyhow::Result<Option<RedisLists>> {
    match &settings.list_store {
        Some(url) => Ok(Some(RedisLists::connect(url).context("list-store")?)),
        None => Ok(store.map(RedisStore::lists)),
    }
}

fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "draining");
    })
}

fn services(node: &Node, settings: &Settings, lists: Option<&RedisLists>) -> anyhow::Result<Vec<Service>> {
    let tuning = &settings.tuning;
    let around = Around { listed: settings.api.is_some(), lists };
    let mut services = Vec::new();
    for ServiceSettings { prefix, handler, tuning } in &settings.services {
        services.push(tuning.apply(builder(node, *handler, prefix, tuning, around)?).build(node));
    }
    if settings.page {
        let echo = match settings.show_node {
            true => Service::builder("/demo/echo", TellingEcho::new(node)),
            false => builder(node, HandlerKind::Echo, "/demo/echo", tuning, around)?,
        };
        let room = builder(node, HandlerKind::Broadcast, "/demo/room", tuning, around)?;
        for service in [echo, room, crate::stomp::demo("/demo/stomp", tuning)?] {
            services.push(tuning.apply(service).build(node));
        }
    }
    if settings.demo {
        let told = settings.show_node.then(|| node.id().to_string());
        services.push(tuning.apply(crate::demo::chat::chat(told).service("/demo/chat")).build(node));
    }
    if settings.test_services {
        services.extend(test_services(node, tuning)?);
    }
    let mut prefixes: Vec<_> = services.iter().map(Service::prefix).collect();
    prefixes.sort_unstable();
    if let Some(twice) = prefixes.windows(2).find(|pair| pair[0] == pair[1]) {
        anyhow::bail!(
            "service {} is there twice: test services and the page bring services of their own",
            twice[0]
        );
    }
    Ok(services)
}

fn builder(
    node: &Node,
    handler: HandlerKind,
    prefix: &str,
    tuning: &Tuning,
    around: Around<'_>,
) -> anyhow::Result<ServiceBuilder> {
    Ok(match handler {
        HandlerKind::Echo => Service::builder(prefix, Echo),
        HandlerKind::Broadcast => {
            let channel = ChannelName::new(&format!("broadcast:{prefix}"))?;
            Service::builder(prefix, Broadcast::new(node, channel))
        }
        HandlerKind::Stomp => {
            crate::stomp::service(prefix, tuning, around).with_context(|| format!("service {prefix}"))?
        }
    })
}

/// The services that every SockJS server brings for tests. Source: SockJS 0.3 protocol, "Standard test services".
fn test_services(node: &Node, tuning: &Tuning) -> anyhow::Result<Vec<Service>> {
    let small = Tuning { response_limit: Some(Size(4096)), ..Tuning::default() };
    let no_websocket = Tuning { websocket: Some(false), ..Tuning::default() };
    let cookie = Tuning { cookie_needed: Some(true), ..Tuning::default() };
    let plain = Tuning::default;
    let services = [
        (Service::builder("/echo", Echo), small),
        (Service::builder("/disabled_websocket_echo", Echo), no_websocket),
        (Service::builder("/cookie_needed_echo", Echo), cookie),
        (Service::builder("/close", Close), plain()),
        (Service::builder("/ticker", Ticker), plain()),
        (Service::builder("/amplify", Amplify), plain()),
        (builder(node, HandlerKind::Broadcast, "/broadcast", tuning, Around::default())?, plain()),
        (Service::builder("/ledger", Ledger::new(node, ChannelName::new("ledger")?)), plain()),
    ];
    Ok(services.into_iter().map(|(service, special)| special.or(tuning).apply(service).build(node)).collect())
}

/// Says on stdout where to look. The first line holds the address, for programs that start this one.
fn announce(
    server: &Server,
    api: Option<&Server>,
    settings: &Settings,
    services: &[Service],
    store: &str,
) -> anyhow::Result<()> {
    let base = format!("http://{}", server.local_addr()?);
    let mut out = std::io::stdout().lock();
    writeln!(out, "sockhop {} listening on {base}/", env!("CARGO_PKG_VERSION"))?;
    if settings.page {
        writeln!(out, "  page      {base}/ (transport lab)")?;
    }
    if settings.demo {
        writeln!(out, "  chat      {base}/chat/")?;
    }
    let prefixes: Vec<_> = services.iter().map(Service::prefix).collect();
    writeln!(out, "  services  {}", prefixes.join(" "))?;
    writeln!(out, "  health    {base}/healthz {base}/readyz")?;
    match (api, &settings.api) {
        (Some(own), _) => writeln!(out, "  api       http://{}/v1/", own.local_addr()?)?,
        (None, Some(ApiSettings { place: ApiPlace::Path(path), .. })) => {
            writeln!(out, "  api       {base}{path}/v1/")?
        }
        _ => {}
    }
    writeln!(out, "  store     {store}")?;
    writeln!(
        out,
        "  stop      Ctrl-C or SIGTERM, drains within {}",
        humantime::format_duration(settings.drain.timeout)
    )?;
    out.flush()?;
    Ok(())
}
