//! What a sweep finds at one session.

use super::Inner;
use super::answers::read_info;
use super::reply::Reply;
use super::script::{self, arguments};
use super::sessions::random;
use super::sweep::Known;
use crate::id::{NodeId, SessionKey};
use crate::store::{Ended, Hold, Opening, SessionRef, StoreError, Tended, Turn};

/// What a sweep found at a session whose time had come.
pub(super) enum Swept {
    /// Nothing to do.
    Kept,
    /// It is none of sockhop.
    Foreign,
    /// It is over, for this node to run its `on_close`.
    Ended(Ended),
    /// Its `on_open` has not run to its end, for this node to run it again.
    Opening(Opening),
    /// It is for this node's handler to see to it.
    Tended(Tended),
    /// A node that is alive holds it.
    Held(NodeId, Hold),
    /// It was taken from a node that is dead.
    Freed(NodeId, Hold),
    /// A node that is alive runs its `on_open`, or the handler call that its `on_close` waits for.
    Waiting(NodeId, SessionRef, u64),
    /// A node that is alive runs its `on_close`.
    Closing(NodeId, SessionRef),
    /// Nothing was done: whether this node, which has to do with it, is alive has to be known first.
    Stranger(NodeId),
}

impl Inner {
    /// Looks at a session whose time has come.
    pub(super) async fn sweep(
        &self,
        key: SessionKey,
        member: &[u8],
        node: NodeId,
        may_judge: bool,
        known: &Known,
    ) -> Result<Swept, StoreError> {
        let keys = self.keys.session(key);
        let (token, id) = (random(), node.to_bytes());
        let arguments = arguments![&id, &token, member, may_judge, &known.alive[..], &known.dead[..]];
        let mut reply = self.session(&script::SWEEP, &keys, &arguments).await?;
        let session =
            |reply: &mut Reply| Ok::<_, StoreError>(SessionRef { key, life: u64::from_be_bytes(reply.id()?) });
        let outcome = reply.text()?;
        Ok(match outcome.as_str() {
            "ended" => self.some_ended(&mut reply, key)?.map_or(Swept::Kept, Swept::Ended),
            "opening" => {
                let session = session(&mut reply)?;
                let (origin, attributes) = read_info(&mut reply.list()?)?;
                let turn = u64::from_be_bytes(token);
                self.calls.begun(turn, node);
                Swept::Opening(Opening { session, origin, attributes, turn: Turn(turn) })
            }
            "tended" => {
                let session = session(&mut reply)?;
                let (origin, attributes) = read_info(&mut reply.list()?)?;
                Swept::Tended(Tended { session, origin, attributes })
            }
            "held" | "freed" => {
                let session = session(&mut reply)?;
                let holder = NodeId::from_bytes(reply.id()?);
                let hold = Hold { session, attachment: reply.count()? };
                if outcome == "held" { Swept::Held(holder, hold) } else { Swept::Freed(holder, hold) }
            }
            "foreign" => Swept::Foreign,
            "calling" | "waiting" => {
                let session = session(&mut reply)?;
                let runner = NodeId::from_bytes(reply.id()?);
                Swept::Waiting(runner, session, u64::from_be_bytes(reply.id()?))
            }
            "stranger" => Swept::Stranger(NodeId::from_bytes(reply.id()?)),
            "closing" => {
                let session = session(&mut reply)?;
                Swept::Closing(NodeId::from_bytes(reply.id()?), session)
            }
            _ => Swept::Kept,
        })
    }
}
