//! A chat with rooms, on sockhop's own server: the page is `www/chat/`, what it needs of the server `handlers.rs`.
//!
//! `cargo run --example chat`, then open <http://127.0.0.1:8081/chat/>. Arguments: the address to listen on, and the URL
//! of a Redis, by which several of these programs serve the same people. `sockhop serve --demo` has the same chat.

mod handlers;

use std::sync::Arc;

use sockhop::Node;
use sockhop::server::{Drain, Limits, Server};
use sockhop::store::RedisStore;
use warp::{Filter, Reply};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().as_deref().unwrap_or("127.0.0.1:8081").parse()?;
    let mut node = Node::builder();
    for (channels, retention) in handlers::retention() {
        node = node.retention_of(channels, retention);
    }
    if let Some(url) = arguments.next() {
        let store = RedisStore::builder(&url)?.build();
        store.started().await?;
        node = node.store(Arc::new(store));
    }
    let node = node.build();
    let service = handlers::chat(Some(node.id().to_string())).service("/demo/chat").build(&node);
    let server = Server::bind(address, Limits::default())?;
    #[allow(clippy::print_stdout, reason = "a program that says where it listens")]
    {
        println!("listening on http://{}/chat/", server.local_addr()?);
    }
    let stop = async {
        // Without a signal to wait for, the server runs until it is killed.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let page = warp::fs::dir(concat!(env!("CARGO_MANIFEST_DIR"), "/www")).map(Reply::into_response);
    let nothing =
        warp::any().map(|| warp::reply::with_status("Not found.\n", http::StatusCode::NOT_FOUND).into_response());
    server.serve(&node, vec![service], page.or(nothing).unify().boxed(), stop, Drain::default()).await;
    Ok(())
}
