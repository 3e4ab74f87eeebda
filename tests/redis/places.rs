//! The ways to say where Redis is, each against a real server.

use std::path::Path;

use crate::program::Program;
use crate::server::{Redis, Sentinels, free_port, until};
use crate::tls::Certificates;

/// That sessions and messages go through.
fn works(program: &Program) {
    program.wait_ready();
    assert_eq!(program.poll("a"), "o");
    assert_eq!(program.post("/ledger/000/a/xhr_send", &[], r#"["publish hello"]"#).0, 204);
    until("what was published comes", || program.poll("a").contains("\"published"));
}

#[test]
fn a_unix_socket_will_do() {
    let redis = Redis::with(&["unixsocket {folder}/redis.sock"]);
    let socket = format!("redis+unix://{}/redis.sock", redis.folder().display());
    works(&Program::start(&socket, &[]));
    works(&Program::start(&format!("{socket}?db=3"), &[]));
    assert!(redis.info("keyspace").unwrap().contains_key("db3"));
}

#[test]
fn a_database_of_a_server_is_used_and_no_other() {
    let redis = Redis::start();
    works(&Program::start(&format!("{}/7", redis.url()), &[]));
    let keyspace = redis.info("keyspace").unwrap();
    assert_eq!(keyspace.keys().collect::<Vec<_>>(), ["db7"]);
}

#[test]
fn a_password_and_a_user_are_used() {
    let redis = Redis::with(&["requirepass open:sesame"]);
    works(&Program::start(&format!("redis://:open%3Asesame@{}", redis.host()), &[]));
    redis.command(&["ACL", "SETUSER", "me", "on", ">p@ss", "~mine:*", "&mine:*", "+@all"]);
    let url = format!("redis://me:p%40ss@{}", redis.host());
    works(&Program::start(&url, &["--store-prefix", "mine"]));
}

#[test]
fn sentinels_that_know_no_credentials_will_do() {
    let redis = Redis::with(&["requirepass sesame", "user me on >pw ~* &* +@all"]);
    let sentinels = Sentinels::start(&redis, 0, 1);
    let hosts = sentinels.url().split_once("://").unwrap().1.to_owned();
    for (credentials, prefix) in [(":sesame", "a"), ("me:pw", "b")] {
        let url = format!("redis-sentinel://{credentials}@{hosts}");
        works(&Program::start(&url, &["--store-prefix", prefix]));
    }
}

/// A server that shows its certificate at this port.
fn server(certificates: &Certificates) -> (Redis, u16) {
    let port = free_port();
    let lines = [
        format!("tls-port {port}"),
        format!("tls-cert-file {}", certificates.path("cert.pem")),
        format!("tls-key-file {}", certificates.path("key.pem")),
        format!("tls-ca-cert-file {}", certificates.path("ca.pem")),
        "tls-auth-clients no".to_owned(),
    ];
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    (Redis::with(&lines), port)
}

#[test]
fn a_private_authority_can_be_trusted_by_a_file() {
    let certificates = Certificates::make();
    let (_redis, port) = server(&certificates);
    let url = format!("rediss://localhost:{port}");
    works(&Program::start(&url, &["--store-ca", &certificates.path("ca.pem")]));
}

#[test]
fn a_private_authority_can_be_trusted_by_the_environment() {
    let certificates = Certificates::make();
    let (_redis, port) = server(&certificates);
    let url = format!("rediss://127.0.0.1:{port}");
    works(&Program::start_with(&url, &[], &[("SSL_CERT_FILE", &certificates.path("ca.pem"))]));
}

#[test]
fn a_server_that_nobody_vouches_for_is_not_talked_to() {
    let (certificates, others) = (Certificates::make(), Certificates::make());
    let (_redis, port) = server(&certificates);
    let program = Program::start(&format!("rediss://localhost:{port}"), &["--store-ca", &others.path("ca.pem")]);
    program.wait_log("invalid peer certificate");
    assert_eq!(program.get("/readyz").0, 503);
}

#[test]
fn a_file_without_certificates_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("empty.pem");
    std::fs::write(&file, "").unwrap();
    refused("rediss://localhost", &file, "no certificates in PEM format");
    refused("redis://localhost", &file, "only matter to a store with TLS");
    refused("memory", &file, "there is no store that is reached with TLS");
    refused("rediss://localhost", &folder.path().join("missing.pem"), "No such file");
}

fn refused(store: &str, file: &Path, why: &str) {
    let program = Program::start(store, &["--store-ca", &file.display().to_string()]);
    let (status, log) = program.ended();
    assert!(!status.success() && log.contains("store-ca") && log.contains(why), "{log}");
}
