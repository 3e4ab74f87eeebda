//! What the page may ask and order: the nodes' states, and to drain, kill or start one.
//!
//! Other pages in the same browser must not: whoever asks has to call this machine by its own name, which no foreign page
//! can have its requests do unnoticed, and orders need a token that only an answer from here holds, which foreign pages
//! cannot read. Other machines do not get here at all.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use rand::Rng;
use serde::Serialize;
use warp::filters::BoxedFilter;
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Reply};

use super::node::{Node, Order, State};

/// Judges and answers requests below `/cluster/`.
#[derive(Debug, Clone)]
pub(super) struct Control {
    nodes: Vec<Node>,
    /// What a browser on this machine calls the page's host.
    hosts: Arc<[String]>,
    token: Arc<str>,
}

/// The header that holds the token.
const TOKEN: &str = "x-cluster-token";

#[derive(Serialize)]
struct Cluster<'a> {
    token: &'a str,
    nodes: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    number: usize,
    url: String,
    #[serde(flatten)]
    state: State,
}

impl Control {
    pub(super) fn new(nodes: Vec<Node>, page: SocketAddr) -> Self {
        let port = page.port();
        let names = ["localhost", "127.0.0.1", "[::1]"];
        let mut hosts: Vec<String> = names.iter().map(|name| format!("{name}:{port}")).collect();
        if port == 80 {
            hosts.extend(names.map(str::to_owned));
        }
        let token: String = (0..32).map(|_| format!("{:x}", rand::rng().random_range(0..16))).collect();
        Self { nodes, hosts: hosts.into(), token: token.into() }
    }

    pub(super) fn routes(self) -> BoxedFilter<(Response,)> {
        warp::method()
            .and(warp::path::full())
            .and(warp::header::headers_cloned())
            .map(move |method: Method, path: FullPath, headers: HeaderMap| {
                self.answer(&method, path.as_str(), &headers).unwrap_or_else(said)
            })
            .boxed()
    }

    fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<Response, StatusCode> {
        self.judge(headers)?;
        let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
        match (method, parts.as_slice()) {
            (&Method::GET, ["cluster", "state"]) => Ok(self.state()),
            (&Method::POST, ["cluster", "nodes", number, order]) => {
                if headers.get(TOKEN).is_none_or(|token| !same(token.as_bytes(), self.token.as_bytes())) {
                    return Err(StatusCode::FORBIDDEN);
                }
                self.order(number, order).map(said)
            }
            _ => Err(StatusCode::NOT_FOUND),
        }
    }

    /// Only who calls us by a name of this machine is heard, and no page of another origin.
    fn judge(&self, headers: &HeaderMap) -> Result<(), StatusCode> {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if !self.hosts.iter().any(|known| known == host) {
            return Err(StatusCode::FORBIDDEN);
        }
        match headers.get(ORIGIN) {
            Some(origin) if origin.as_bytes() != format!("http://{host}").as_bytes() => Err(StatusCode::FORBIDDEN),
            _ => Ok(()),
        }
    }

    fn state(&self) -> Response {
        let shown = |node: &Node| Shown { number: node.number(), url: node.url(), state: node.state() };
        let cluster = Cluster { token: &self.token, nodes: self.nodes.iter().map(shown).collect() };
        guarded(warp::reply::json(&cluster).into_response())
    }

    fn order(&self, number: &str, order: &str) -> Result<StatusCode, StatusCode> {
        let order = match order {
            "start" => Order::Start,
            "drain" => Order::Drain,
            "kill" => Order::Kill,
            _ => return Err(StatusCode::NOT_FOUND),
        };
        let node =
            self.nodes.iter().find(|node| node.number().to_string() == number).ok_or(StatusCode::NOT_FOUND)?;
        match node.tell(order) {
            true => Ok(StatusCode::ACCEPTED),
            false => Err(StatusCode::CONFLICT),
        }
    }
}

/// Whether two secrets are the same, in a time that does not tell how much of them is.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

fn said(status: StatusCode) -> Response {
    let text = format!("{}\n", status.canonical_reason().unwrap_or_default());
    let mut response = warp::reply::with_status(text, status).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    guarded(response)
}

fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::super::node::Recipe;
    use super::*;

    fn control() -> Control {
        let node = Node::new(1, 1, Recipe::default());
        Control::new(vec![node], "127.0.0.1:8080".parse().unwrap())
    }

    fn asked(control: &Control, method: &Method, path: &str, headers: &[(&'static str, &str)]) -> u16 {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect();
        let answer = control.answer(method, path, &headers);
        answer.map_or_else(|status| status, |response| response.status()).as_u16()
    }

    #[test]
    fn who_calls_this_machine_by_another_name_is_not_heard() {
        let control = control();
        for (host, status) in [
            ("127.0.0.1:8080", 200),
            ("localhost:8080", 200),
            ("[::1]:8080", 200),
            ("127.0.0.1", 403),
            ("localhost:80800", 403),
            ("evil.example:8080", 403),
            ("192.168.1.2:8080", 403),
            ("", 403),
        ] {
            assert_eq!(asked(&control, &Method::GET, "/cluster/state", &[("host", host)]), status, "{host}");
        }
        assert_eq!(asked(&control, &Method::GET, "/cluster/state", &[]), 403);
    }

    #[test]
    fn pages_of_other_origins_are_not_heard_even_with_the_token() {
        let control = control();
        let token = control.token.to_string();
        for (origin, status) in [
            ("http://localhost:8080", 202),
            ("http://127.0.0.1:8080", 403),
            ("http://localhost:8081", 403),
            ("https://localhost:8080", 403),
            ("http://evil.example", 403),
            ("null", 403),
        ] {
            let headers = [("host", "localhost:8080"), ("origin", origin), (TOKEN, token.as_str())];
            assert_eq!(asked(&control, &Method::POST, "/cluster/nodes/1/drain", &headers), status, "{origin}");
        }
    }

    #[test]
    fn orders_need_the_token_of_this_run() {
        let (control, other) = (control(), control());
        let path = "/cluster/nodes/1/drain";
        let host = ("host", "localhost:8080");
        assert_eq!(asked(&control, &Method::POST, path, &[host]), 403);
        for wrong in ["", "x", &other.token, &control.token[1..]] {
            assert_eq!(asked(&control, &Method::POST, path, &[host, (TOKEN, wrong)]), 403, "{wrong}");
        }
        assert_eq!(asked(&control, &Method::POST, path, &[host, (TOKEN, &control.token)]), 202);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let control = control();
        let headers = [("host", "localhost:8080"), (TOKEN, &*control.token)];
        for (path, status) in [
            ("/cluster/nodes/1/start", 409),
            ("/cluster/nodes/2/drain", 404),
            ("/cluster/nodes/01/drain", 404),
            ("/cluster/nodes/1/eat", 404),
            ("/cluster/nodes/1", 404),
            ("/cluster/", 404),
            ("/", 404),
        ] {
            assert_eq!(asked(&control, &Method::POST, path, &headers), status, "{path}");
        }
        assert_eq!(asked(&control, &Method::GET, "/cluster/nodes/1/drain", &headers), 404);
    }
}
