//! Websocket echo.

use std::future::poll_fn;
use std::task::{Poll, ready};

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::{Error, Message};
use warp::reply::Response;
use warp::{Filter, Rejection};

use crate::upgrade::{self, Socket};

/// Each connection gets its text messages back.
pub(crate) fn filter() -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync {
    upgrade::filter(|socket| async {
        // The peer's way of leaving does not matter here: its connection is over in any case.
        let _ = echo(socket).await;
    })
}

async fn echo(mut socket: Socket) -> Result<(), Error> {
    while let Some(message) = next_or_flush(&mut socket).await {
        let message = message?;
        if message.is_text() {
            socket.feed(message).await?;
        }
    }
    Ok(())
}

/// The next message; replies are flushed only when there is no further input to answer.
async fn next_or_flush(socket: &mut Socket) -> Option<Result<Message, Error>> {
    poll_fn(|context| {
        if let Poll::Ready(message) = socket.poll_next_unpin(context) {
            return Poll::Ready(message);
        }
        match ready!(socket.poll_flush_unpin(context)) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    })
    .await
}
