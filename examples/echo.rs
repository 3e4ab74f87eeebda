//! The smallest service: each message goes back.
//!
//! Run it, then open <http://127.0.0.1:8081/echo> or connect with sockjs-client. An address as argument is listened
//! on instead.

use std::net::SocketAddr;

use sockhop::{Handler, Node, Service, Session};

struct Echo;

impl Handler for Echo {
    async fn on_message(&self, session: &Session, message: String) {
        // Fails only if the session is over: then nobody waits for an echo.
        let _ = session.send(message).await;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address: SocketAddr = std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:8081").parse()?;
    let node = Node::new();
    let echo = Service::builder("/echo", Echo).build(&node);
    let listener = tokio::net::TcpListener::bind(address).await?;
    #[allow(clippy::print_stdout, reason = "a program that says where it listens")]
    {
        println!("listening on http://{}/echo", listener.local_addr()?);
    }
    warp::serve(echo.filter()).incoming(listener).run().await;
    Ok(())
}
