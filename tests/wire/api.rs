//! The HTTP API as the program serves it: on the main address, on one of its own, and what logs say of it.

use std::time::{Duration, Instant};

use crate::http::{Connection, Request, Response};
use crate::server::{PATIENCE, Server};

const KEYS: &str = concat!("--api-keys=", env!("CARGO_MANIFEST_DIR"), "/tests/wire/api.keys");
const SHOP: &str = "shop-key-0123456789";
const ADMIN: &str = "admin-key-0123456789";

fn with_key(request: Request, key: &str) -> Request {
    request.header("Authorization", format!("Bearer {key}")).header("Content-Type", "application/json")
}

fn publish(path: &str, key: &str, body: &str) -> Request {
    with_key(Request::post(path, body), key)
}

const HELLO: &str = r#"{"destination":"/topic/a","body":"hello"}"#;

fn says_problem(response: &Response, status: u16) {
    assert_eq!(response.status, status, "{response:?}");
    assert_eq!(response.header("Content-Type"), Some("application/problem+json"), "{response:?}");
}

#[test]
fn keys_stand_in_no_log_no_metric_and_no_answer() {
    let server = Server::start(&["--api-path=/api", KEYS, "--metrics", "--log-level", "trace"]);
    let mut answers = Vec::new();
    for key in [SHOP, ADMIN, "a-wrong-key-0123456789"] {
        answers.push(server.fetch(&publish("/api/v1/publish", key, HELLO)));
        answers.push(server.fetch(&publish("/api/v1/publish", key, "{")));
        answers.push(server.fetch(&with_key(Request::get("/api/v1/history?destination=/topic/a"), key)));
    }
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 400, 200, 200, 400, 200, 403, 403, 403]);
    answers.push(server.get("/metrics"));
    let told: String = answers.iter().map(|answer| format!("{answer:?} {}", answer.text())).collect();
    let log = server.log();
    assert!(log.contains("shop"), "the caller's name is logged: {log}");
    for secret in [SHOP, ADMIN, "wrong-key"] {
        assert!(!log.contains(secret) && !told.contains(secret), "{secret}");
    }
}

#[test]
fn the_api_is_at_its_path_and_nowhere_else() {
    let server = Server::start(&["--api-path=/api", KEYS]);
    assert_eq!(server.get("/api/v1/openapi.json").status, 200);
    assert!(server.get("/api/v1/openapi.json").text().contains("\"/api/v1\""));
    for path in ["/v1/openapi.json", "/api/openapi.json", "/api", "/apis/v1/openapi.json"] {
        let answer = server.get(path);
        assert_eq!(answer.status, 404, "{path}");
        assert_ne!(answer.header("Content-Type"), Some("application/problem+json"), "{path}");
    }
    assert_eq!(server.get("/echo/info").status, 200);
    let mut connection = server.connect();
    connection.send(&with_key(Request::new("HEAD", "/api/v1/history?destination=/topic/a"), SHOP));
    assert_eq!(connection.head().status, 200);
    // Nothing stands between the head and the next answer.
    assert_eq!(connection.exchange(&publish("/api/v1/publish", SHOP, HELLO)).status, 200);
}

#[test]
fn an_address_of_its_own_serves_the_api_alone_and_drains_with_the_node() {
    let server = Server::start(&["--api-listen=127.0.0.1:0", KEYS]);
    let place = server.said("  api       http://");
    let address = place.strip_suffix("/v1/").expect("its address");
    let mut connection = Connection::open(address.parse().expect("an address"));
    assert_eq!(connection.exchange(&publish("/v1/publish", SHOP, HELLO)).status, 200);
    says_problem(&connection.exchange(&Request::get("/healthz")), 404);
    says_problem(&connection.exchange(&Request::get("/echo/info")), 404);
    assert_eq!(server.get("/v1/openapi.json").status, 404);
    // A call that is under way is answered.
    let call = publish("/v1/publish", SHOP, HELLO).bytes();
    let (first, rest) = call.split_at(call.len() - 5);
    connection.write(first);
    server.signal("TERM");
    let deadline = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < deadline, "it still listens");
        std::thread::sleep(Duration::from_millis(10));
    }
    connection.write(rest);
    let answer = connection.response();
    assert_eq!((answer.status, answer.says_close()), (200, true));
    assert!(server.exit_status().success());
}

#[test]
fn bodies_have_a_limit_whether_or_not_their_length_is_told() {
    let server = Server::start(&["--api-path=/api", KEYS, "--api-body-limit=1000"]);
    let large = format!(r#"{{"destination":"/topic/a","body":"{}"}}"#, "x".repeat(1000));
    says_problem(&server.fetch(&publish("/api/v1/publish", SHOP, &large)), 413);
    let chunked = with_key(Request::new("POST", "/api/v1/publish"), SHOP).header("Transfer-Encoding", "chunked");
    let mut connection = server.connect();
    connection.send(&chunked);
    connection.write(format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len()));
    says_problem(&connection.response(), 413);
    assert_eq!(server.fetch(&publish("/api/v1/publish", SHOP, HELLO)).status, 200);
}
