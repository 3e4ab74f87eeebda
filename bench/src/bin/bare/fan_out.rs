//! Websocket fan-out: one tokio broadcast channel, whose messages share their bytes.

use futures_util::{SinkExt, StreamExt};
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::broadcast::{self, Receiver, Sender};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use warp::reply::Response;
use warp::{Filter, Rejection};

use crate::upgrade::{self, Socket};

/// Messages that the channel holds; a connection that lags further behind is cut.
const CAPACITY: usize = 1024;

/// Each connection gets the text messages of all, its own among them.
pub(crate) fn filter() -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync {
    let (sender, _) = broadcast::channel(CAPACITY);
    upgrade::filter(move |socket| member(socket, sender.clone()))
}

async fn member(mut socket: Socket, sender: Sender<Utf8Bytes>) {
    let mut receiver = sender.subscribe();
    loop {
        let open = tokio::select! {
            biased;
            message = receiver.recv() => match message {
                Ok(text) => deliver(&mut socket, text, &mut receiver).await,
                Err(_) => false,
            },
            message = socket.next() => match message {
                // A send fails only without a receiver, and this task holds one.
                Some(Ok(Message::Text(text))) => sender.send(text).is_ok(),
                Some(Ok(_)) => true,
                Some(Err(_)) | None => false,
            },
        };
        if !open {
            return;
        }
    }
}

/// Writes `text` and whatever else has come meanwhile, and flushes once. False = the connection is over.
async fn deliver(socket: &mut Socket, text: Utf8Bytes, receiver: &mut Receiver<Utf8Bytes>) -> bool {
    let mut next = Ok(text);
    loop {
        match next {
            Ok(text) => {
                if socket.feed(Message::Text(text)).await.is_err() {
                    return false;
                }
            }
            Err(TryRecvError::Lagged(_) | TryRecvError::Closed) => return false,
            Err(TryRecvError::Empty) => return socket.flush().await.is_ok(),
        }
        next = receiver.try_recv();
    }
}
