//! What a session's handler writes down of it.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use super::{Place, Session};
use crate::store::{Gone, StoreError};

/// An attribute was not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttributeError {
    /// The session is over.
    #[error("the session is over")]
    Over,
    /// All attributes together would have more than 64 KiB.
    #[error("the session's attributes would have {0} bytes, more than {ATTRIBUTES_LIMIT}")]
    TooLarge(usize),
    /// The store cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Session {
    /// An attribute of the session, as it was when the handler was called, with what was set through this handle
    /// since.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<String> {
        self.attributes().get(name).cloned()
    }

    /// Sets an attribute, which later handler calls see, on whatever node they run.
    ///
    /// # Errors
    /// See [`AttributeError`].
    pub async fn set_attribute(&self, name: &str, value: impl Into<String> + Send) -> Result<(), AttributeError> {
        self.change_attribute(name, Some(value.into())).await
    }

    /// Removes an attribute.
    ///
    /// # Errors
    /// See [`AttributeError`].
    pub async fn remove_attribute(&self, name: &str) -> Result<(), AttributeError> {
        self.change_attribute(name, None).await
    }

    async fn change_attribute(&self, name: &str, value: Option<String>) -> Result<(), AttributeError> {
        {
            let attributes = self.attributes();
            let others: usize = attributes
                .iter()
                .filter(|(known, _)| *known != name)
                .map(|(name, value)| name.len() + value.len())
                .sum();
            let size = others + value.as_ref().map_or(0, |value| name.len() + value.len());
            if size > ATTRIBUTES_LIMIT {
                return Err(AttributeError::TooLarge(size));
            }
        }
        self.write_attribute(name, value).await
    }

    /// Sets an attribute, or removes it, which is in the store, if the session is, before this resolves. Not counted
    /// among the application's attributes.
    pub(crate) async fn write_attribute(&self, name: &str, value: Option<String>) -> Result<(), AttributeError> {
        let _writing = match &self.0.place {
            Place::Here(local) if local.mailbox().is_closed() => return Err(AttributeError::Over),
            Place::Here(local) => Some(local.write_attribute(self, name, value.as_deref()).await?),
            Place::Store(_) => {
                self.store_attribute(name, value.clone()).await?;
                None
            }
        };
        let mut attributes = self.attributes();
        match value {
            Some(value) => attributes.insert(name.to_owned(), value),
            None => attributes.remove(name),
        };
        Ok(())
    }

    pub(super) async fn store_attribute(&self, name: &str, value: Option<String>) -> Result<(), AttributeError> {
        match self.0.node.store.set_attribute(self.0.session, name, value).await {
            Ok(()) => Ok(()),
            Err(Gone::Over | Gone::Fenced) => Err(AttributeError::Over),
            Err(Gone::Store(error)) => Err(error.into()),
        }
    }

    /// All attributes, as [`attribute`](Self::attribute) gives each.
    pub(crate) fn all_attributes(&self) -> BTreeMap<String, String> {
        self.attributes().clone()
    }

    /// Changes an attribute with the end of the call under way: all that a call changes is written down together with
    /// what it has sent. Not counted among the application's attributes.
    pub(crate) fn keep_attribute(&self, name: &str, value: Option<String>) {
        if let Place::Store(outbox) = &self.0.place {
            outbox.keep(|kept| kept.attributes.push((name.to_owned(), value)));
        }
    }

    pub(super) fn attributes(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.attributes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that all attributes of a session may have, names and values together.
const ATTRIBUTES_LIMIT: usize = 64 * 1024;
