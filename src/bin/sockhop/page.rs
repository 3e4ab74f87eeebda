//! What is served beside the services: the page, health, metrics.

use std::path::Path;

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use metrics_exporter_prometheus::PrometheusHandle;
use rust_embed::{EmbeddedFile, RustEmbed};
use sockhop::Node;
use warp::filters::BoxedFilter;
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Reply};

/// The sockjs-client that this server serves, for pages and iframe pages alike.
pub(crate) const CLIENT: &str = "/vendor/sockjs-1.6.1.min.js";

#[derive(RustEmbed)]
#[folder = "www"]
struct Www;

/// `frame-ancestors` keeps other sites from framing the page; SockJS's own frames are answered by the services.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'self'",
);

/// Files that never change under their name.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// Everything outside the services' prefixes.
pub(crate) fn routes(
    node: &Node,
    page: bool,
    www: Option<&Path>,
    metrics: Option<PrometheusHandle>,
) -> BoxedFilter<(Response,)> {
    let health = warp::path!("healthz").map(|| "ok\n".into_response());
    let ready_node = node.clone();
    let ready = warp::path!("readyz").map(move || match ready_node.unready() {
        None => "ready\n".into_response(),
        Some(why) => warp::reply::with_status(format!("{why}\n"), StatusCode::SERVICE_UNAVAILABLE).into_response(),
    });
    let common = warp::get().and(health.or(ready).unify());
    let with_metrics = match metrics {
        Some(metrics) => {
            let rendered = warp::get().and(warp::path!("metrics")).map(move || {
                let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                let mut response = metrics.render().into_response();
                response.headers_mut().insert(CONTENT_TYPE, text);
                response
            });
            common.or(rendered).unify().boxed()
        }
        None => common.boxed(),
    };
    let not_found = warp::any().map(|| not_found(None));
    match (page, www) {
        (false, _) => with_metrics.or(not_found).unify().boxed(),
        (true, None) => with_metrics.or(embedded()).unify().or(not_found).unify().boxed(),
        (true, Some(folder)) => {
            let files = warp::fs::dir(folder.to_owned()).map(|file: warp::fs::File| guarded(file.into_response()));
            with_metrics.or(files).unify().or(not_found).unify().boxed()
        }
    }
}

fn embedded() -> BoxedFilter<(Response,)> {
    warp::get()
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .map(|path: FullPath, headers: HeaderMap| {
            let name = path.as_str().trim_start_matches('/');
            let index = format!("{name}index.html");
            let name = if name.is_empty() || name.ends_with('/') { &index } else { name };
            match Www::get(name) {
                Some(file) => answer(name, &file, headers.get(IF_NONE_MATCH)),
                None if Www::get(&format!("{name}/index.html")).is_some() => to_folder(name),
                None => not_found(Www::get("404.html")),
            }
        })
        .boxed()
}

/// A folder's page names its files beside itself.
fn to_folder(name: &str) -> Response {
    let last = name.rsplit('/').next().unwrap_or(name);
    let mut response = StatusCode::PERMANENT_REDIRECT.into_response();
    if let Ok(there) = HeaderValue::from_str(&format!("{last}/")) {
        response.headers_mut().insert(LOCATION, there);
    }
    guarded(response)
}

fn answer(name: &str, file: &EmbeddedFile, if_none_match: Option<&HeaderValue>) -> Response {
    let hash: String = file.metadata.sha256_hash().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let etag = HeaderValue::from_str(&format!("\"{hash}\"")).ok();
    let mut response = match etag.as_ref() == if_none_match && etag.is_some() {
        true => warp::reply::with_status("", StatusCode::NOT_MODIFIED).into_response(),
        false => {
            let mut response = file.data.to_vec().into_response();
            if let Ok(kind) = HeaderValue::from_str(&content_type(name, file)) {
                response.headers_mut().insert(CONTENT_TYPE, kind);
            }
            response
        }
    };
    if response.status() == StatusCode::NOT_MODIFIED {
        response.headers_mut().remove(CONTENT_TYPE);
    }
    let cache = if name.starts_with("vendor/") { FOREVER } else { ASK_AGAIN };
    response.headers_mut().insert(CACHE_CONTROL, cache);
    response.headers_mut().extend(etag.map(|etag| (ETAG, etag)));
    guarded(response)
}

fn content_type(name: &str, file: &EmbeddedFile) -> String {
    if name.ends_with("LICENSE") {
        return "text/plain; charset=utf-8".to_owned();
    }
    match file.metadata.mimetype() {
        text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
        other => other.to_owned(),
    }
}

fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

fn not_found(page: Option<EmbeddedFile>) -> Response {
    let response = match page {
        Some(page) => warp::reply::html(page.data.to_vec()).into_response(),
        None => "Not found.\n".into_response(),
    };
    guarded(warp::reply::with_status(response, StatusCode::NOT_FOUND).into_response())
}
