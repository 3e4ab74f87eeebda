//! The ways to say where Redis is, each against a real server.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::program::Program;
use crate::server::{Redis, Sentinels, free_port, until};

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

/// An authority, and a certificate of it for 127.0.0.1 and localhost, made by openssl.
pub(crate) struct Certificates(TempDir);

impl Certificates {
    pub(crate) fn make() -> Self {
        let made = Self(tempfile::tempdir().unwrap());
        let folder = made.0.path();
        std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").unwrap();
        for words in [
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority",
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out request.pem -subj /CN=redis",
            "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out cert.pem",
        ] {
            let made = Command::new("openssl").args(words.split(' ')).current_dir(folder).output();
            let made = made.expect("openssl, which is in Debian's package openssl");
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        made
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn server(&self) -> (Redis, u16) {
        let port = free_port();
        let lines = [
            format!("tls-port {port}"),
            format!("tls-cert-file {}", self.path("cert.pem")),
            format!("tls-key-file {}", self.path("key.pem")),
            format!("tls-ca-cert-file {}", self.path("ca.pem")),
            "tls-auth-clients no".to_owned(),
        ];
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        (Redis::with(&lines), port)
    }
}

#[test]
fn a_private_authority_can_be_trusted_by_a_file() {
    let certificates = Certificates::make();
    let (_redis, port) = certificates.server();
    let url = format!("rediss://localhost:{port}");
    works(&Program::start(&url, &["--store-ca", &certificates.path("ca.pem")]));
}

#[test]
fn a_private_authority_can_be_trusted_by_the_environment() {
    let certificates = Certificates::make();
    let (_redis, port) = certificates.server();
    let url = format!("rediss://127.0.0.1:{port}");
    works(&Program::start_with(&url, &[], &[("SSL_CERT_FILE", &certificates.path("ca.pem"))]));
}

#[test]
fn a_server_that_nobody_vouches_for_is_not_talked_to() {
    let (certificates, others) = (Certificates::make(), Certificates::make());
    let (_redis, port) = certificates.server();
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
