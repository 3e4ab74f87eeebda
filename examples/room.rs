//! A room: everybody gets what anybody says, with names, on any transport.
//!
//! A client's first message is its name; all later ones go to the room. An address as argument is listened on.

use sockhop::server::{Drain, Limits, Server};
use sockhop::{ChannelName, CloseReason, Handler, Node, Service, Session};
use warp::{Filter, Reply};

struct Room {
    node: Node,
    channel: ChannelName,
}

impl Room {
    async fn tell_all(&self, text: String) {
        if let Err(error) = self.node.publish(&self.channel, text).await {
            tracing::warn!(%error, "could not publish");
        }
    }
}

impl Handler for Room {
    async fn on_message(&self, session: &Session, message: String) {
        match session.attribute("name") {
            Some(name) => self.tell_all(format!("{name}: {message}")).await,
            None => {
                // What is kept with the session survives the request, and on a shared store the node.
                let joined = session.subscribe(&self.channel).await.is_ok()
                    && session.set_attribute("name", message.as_str()).await.is_ok();
                if joined {
                    self.tell_all(format!("{message} is here")).await;
                }
            }
        }
    }

    async fn on_close(&self, session: &Session, _reason: &CloseReason) {
        if let Some(name) = session.attribute("name") {
            self.tell_all(format!("{name} has left")).await;
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:8081").parse()?;
    let node = Node::new();
    let room = Room { node: node.clone(), channel: ChannelName::new("room")? };
    let room = Service::builder("/room", room).max_messages_per_second(Some(100)).build(&node);
    // Other routes stand beside the service.
    let hello = warp::path::end().map(|| "The room is at /room.\n".into_response()).boxed();
    let server = Server::bind(address, Limits::default())?;
    #[allow(clippy::print_stdout, reason = "a program that says where it listens")]
    {
        println!("listening on http://{}/room", server.local_addr()?);
    }
    let stop = async {
        // Without a signal to wait for, the server runs until it is killed.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    server.serve(&node, vec![room], hello, stop, Drain::default()).await;
    Ok(())
}
