//! Who was given which end of a session: where a node dies with it, another is given it, as a store that outlives its nodes
//! does. The store in memory, which stands for that one here, ends with them.

use std::collections::HashMap;
use std::sync::Mutex;

use sockhop::NodeId;
use sockhop::store::{Ended, SessionRef};

#[derive(Default)]
pub(crate) struct Ends(Mutex<State>);

#[derive(Default)]
struct State {
    given: HashMap<SessionRef, (NodeId, Ended)>,
    /// What the dead have not run.
    left: Vec<Ended>,
}

impl Ends {
    /// A node is given an end, whether or not it lives to hear of it.
    pub(crate) fn give(&self, node: NodeId, ended: &Ended) {
        self.0.lock().unwrap().given.insert(ended.session, (node, copy(ended)));
    }

    /// The `on_close` has run.
    pub(crate) fn handled(&self, session: SessionRef) {
        self.0.lock().unwrap().given.remove(&session);
    }

    /// A node is taken for dead.
    pub(crate) fn died(&self, node: NodeId) {
        let State { given, left } = &mut *self.0.lock().unwrap();
        left.extend(given.extract_if(|_, (of, _)| *of == node).map(|(_, (_, ended))| ended));
    }

    /// What is left, for whoever asks first.
    pub(crate) fn take_left(&self) -> Vec<Ended> {
        std::mem::take(&mut self.0.lock().unwrap().left)
    }
}

fn copy(ended: &Ended) -> Ended {
    let Ended { session, origin, attributes, reason } = ended;
    Ended { session: *session, origin: origin.clone(), attributes: attributes.clone(), reason: reason.clone() }
}
