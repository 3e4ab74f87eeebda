//! Commands on their way to a server. Those that are ready at about the same time go out as one write, and wake the server
//! once; a command alone goes out at once.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisError, Value};
use tokio::sync::{Notify, Semaphore, oneshot};

/// Where commands are posted. The post ends with it.
pub(super) struct Post {
    letters: Mutex<Vec<Letter>>,
    rung: Arc<Notify>,
}

struct Letter {
    command: Cmd,
    /// Who waits for the answer, if anybody does.
    answer: Option<oneshot::Sender<Result<Value, RedisError>>>,
}

/// Commands that wait while none that nobody waits for is taken any more, and writes under way at once.
const MOST_WAITING: usize = 4096;
const MOST_WRITES: usize = 256;

impl Post {
    pub(super) fn over(connection: MultiplexedConnection) -> Arc<Self> {
        let post = Arc::new(Self { letters: Mutex::default(), rung: Arc::default() });
        tokio::spawn(carry(Arc::downgrade(&post), Arc::clone(&post.rung), connection));
        post
    }

    /// Sends a command; `None` if the post has ended without an answer.
    pub(super) async fn send(&self, command: Cmd) -> Option<Result<Value, RedisError>> {
        let (answer, answered) = oneshot::channel();
        self.put(Letter { command, answer: Some(answer) });
        answered.await.ok()
    }

    /// Sends a command whose answer nobody waits for; where too much waits already, it is lost.
    pub(super) fn drop_in(&self, command: Cmd) {
        if self.letters.lock().unwrap_or_else(PoisonError::into_inner).len() < MOST_WAITING {
            self.put(Letter { command, answer: None });
        }
    }

    fn put(&self, letter: Letter) {
        let is_first = {
            let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
            letters.push(letter);
            letters.len() == 1
        };
        if is_first {
            self.rung.notify_one();
        }
    }

    fn take(&self) -> Vec<Letter> {
        std::mem::take(&mut *self.letters.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        self.rung.notify_one();
    }
}

/// Carries what is posted to the server, until there is no post any more.
async fn carry(post: Weak<Post>, rung: Arc<Notify>, connection: MultiplexedConnection) {
    let writes = Arc::new(Semaphore::new(MOST_WRITES));
    loop {
        rung.notified().await;
        // What can run, runs first: it may have commands as well.
        tokio::task::yield_now().await;
        let Ok(write) = Arc::clone(&writes).acquire_owned().await else { return };
        let Some(letters) = post.upgrade().map(|post| post.take()) else { return };
        if !letters.is_empty() {
            let connection = connection.clone();
            tokio::spawn(async move {
                deliver(letters, connection).await;
                drop(write);
            });
        }
    }
}

async fn deliver(mut letters: Vec<Letter>, mut connection: MultiplexedConnection) {
    if letters.len() == 1
        && let Some(Letter { command, answer }) = letters.pop()
    {
        let answered = connection.send_packed_command(&command).await;
        answer.map(|answer| answer.send(answered));
        return;
    }
    let (mut all, mut answers) =
        (redis::Pipeline::with_capacity(letters.len()), Vec::with_capacity(letters.len()));
    for letter in letters {
        all.add_command(letter.command);
        answers.push(letter.answer);
    }
    match connection.send_packed_commands(&all, 0, answers.len()).await {
        Ok(values) => {
            for (answer, value) in answers.into_iter().zip(values) {
                answer.map(|answer| answer.send(Ok(value)));
            }
        }
        Err(error) => {
            for answer in answers.into_iter().flatten() {
                let _ = answer.send(Err(error.clone()));
            }
        }
    }
}
