//! Greetings, as in the tutorials of STOMP over SockJS: a page sends its name to `/app/hello`, all who are subscribed to
//! `/topic/greetings` are told, and the sender gets an answer of its own.
//!
//! `cargo run --example stomp`, then connect a STOMP client to `http://127.0.0.1:8081/ws`. Arguments: the address to
//! listen on, and the URL of a Redis, by which several of these programs serve the same clients.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sockhop::Node;
use sockhop::server::{Drain, Limits, Server};
use sockhop::stomp::{AppError, AppMessage, Stomp, StompMessage};
use sockhop::store::RedisStore;
use warp::{Filter, Reply};

#[derive(Deserialize)]
struct Hello {
    name: String,
}

#[derive(Serialize)]
struct Greeting {
    content: String,
}

impl From<Greeting> for StompMessage {
    fn from(greeting: Greeting) -> Self {
        let body = serde_json::to_string(&greeting).expect("texts are JSON");
        Self::new(body).with("content-type", "application/json")
    }
}

async fn hello(message: AppMessage) -> Result<(), AppError> {
    let Hello { name } = message.json()?;
    if name.is_empty() {
        let content = "Who are you?".to_owned();
        message.reply("/queue/answers", Greeting { content }).await?;
        return Ok(());
    }
    message.send("/topic/greetings", Greeting { content: format!("Hello, {name}!") }).await?;
    message.reply("/queue/answers", Greeting { content: "All were told.".to_owned() }).await?;
    Ok(())
}

/// To everybody in a room, `/app/rooms/lobby/say`.
async fn say(message: AppMessage) -> Result<(), AppError> {
    let room = message.variable("room").unwrap_or_default();
    message.send(&format!("/topic/rooms/{room}"), message.body()).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().as_deref().unwrap_or("127.0.0.1:8081").parse()?;
    let mut node = Node::builder();
    if let Some(url) = arguments.next() {
        // Several of these programs are one place for their clients then.
        let store = RedisStore::builder(&url)?.build();
        store.started().await?;
        node = node.store(Arc::new(store));
    }
    let node = node.build();
    let stomp = Stomp::new().app("/app/hello", hello).app("/app/rooms/{room}/say", say);
    let service = stomp.service("/ws").build(&node);
    let server = Server::bind(address, Limits::default())?;
    #[allow(clippy::print_stdout, reason = "a program that says where it listens")]
    {
        println!("listening on http://{}/ws", server.local_addr()?);
    }
    let stop = async {
        // Without a signal to wait for, the server runs until it is killed.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let nothing = warp::path::end().map(|| "STOMP is at /ws.\n".into_response()).boxed();
    server.serve(&node, vec![service], nothing, stop, Drain::default()).await;
    Ok(())
}
