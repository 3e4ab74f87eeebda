//! `--show-node`: each answer says which node gave it, and without the option none does.

use crate::http::{Request, Response};
use crate::server::{self, Server};
use crate::session::{Session, Transport};
use crate::ws;

/// One answer of each kind, by what asked for it.
fn answers(server: &Server) -> Vec<(String, Response)> {
    let mut answers: Vec<(String, Response)> =
        ["/", "/no/such/page", "/healthz", "/echo", "/echo/no/such/path", "/echo/info", "/echo/iframe.html"]
            .map(|path| (path.to_owned(), server.get(path)))
            .into();
    answers.push(("405".to_owned(), server.fetch(&Request::new("PUT", "/echo/info"))));
    answers.push(("preflight".to_owned(), server.fetch(&Request::options("/echo/000/a/xhr"))));
    answers.push(("send to nobody".to_owned(), server.post("/echo/000/nobody/xhr_send", "[]")));
    for transport in Transport::ALL {
        let session = Session::fresh(server, "/echo");
        let mut connection = server.connect();
        connection.send(&transport.request(&session.url));
        answers.push((format!("{transport:?}"), connection.head()));
    }
    let mut connection = server.connect();
    connection.send(&ws::handshake("/echo/websocket"));
    answers.push(("upgrade".to_owned(), connection.head()));
    answers
}

#[test]
fn every_answer_says_which_node_gave_it() {
    let server = server::shared_with(&["--show-node"]);
    let node = server.get("/healthz").header("x-sockhop-node").expect("the node").to_owned();
    assert!(node.len() == 16 && node.bytes().all(|byte| byte.is_ascii_hexdigit()), "{node}");
    for (asked, answer) in answers(server) {
        assert_eq!(answer.header("x-sockhop-node"), Some(node.as_str()), "{asked}: {answer:?}");
        assert_eq!(answer.header("server-timing"), Some(format!("node;desc=\"{node}\"").as_str()), "{asked}");
    }
}

#[test]
fn pages_of_other_origins_may_read_it_where_they_may_read_the_answer() {
    let server = server::shared_with(&["--show-node"]);
    for (asked, answer) in answers(server) {
        let readable = answer.header("access-control-allow-origin").is_some();
        let exposed = answer.header("access-control-expose-headers");
        assert_eq!(exposed, readable.then_some("x-sockhop-node"), "{asked}: {answer:?}");
    }
    assert!(server.get("/echo/info").header("access-control-allow-origin").is_some());
}

#[test]
fn without_the_option_no_answer_does() {
    for (asked, answer) in answers(server::shared()) {
        for name in ["x-sockhop-node", "server-timing", "access-control-expose-headers"] {
            assert_eq!(answer.header(name), None, "{asked}: {answer:?}");
        }
    }
}
