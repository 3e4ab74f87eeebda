//! Reads what scripts answer.

use redis::Value;

use crate::store::{Epoch, Position, StoreError};

/// The fields of an answer, in order.
pub(super) struct Reply {
    fields: std::vec::IntoIter<Value>,
    operation: &'static str,
}

impl Reply {
    pub(super) fn new(operation: &'static str, value: Value) -> Result<Self, StoreError> {
        match value {
            Value::Array(fields) => Ok(Self { fields: fields.into_iter(), operation }),
            // A script that says only one thing.
            value => Ok(Self { fields: vec![value].into_iter(), operation }),
        }
    }

    fn garbled(&self) -> StoreError {
        StoreError { operation: self.operation, reason: "the answer was not understood".to_owned() }
    }

    /// Whether there is another field.
    pub(super) fn has_more(&self) -> bool {
        self.fields.as_slice().first().is_some_and(|field| *field != Value::Nil)
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, StoreError> {
        match self.fields.next() {
            Some(Value::BulkString(bytes)) => Ok(bytes),
            Some(Value::SimpleString(text)) => Ok(text.into_bytes()),
            _ => Err(self.garbled()),
        }
    }

    pub(super) fn text(&mut self) -> Result<String, StoreError> {
        String::from_utf8(self.bytes()?).map_err(|_| self.garbled())
    }

    pub(super) fn number(&mut self) -> Result<i64, StoreError> {
        match self.fields.next() {
            Some(Value::Int(number)) => Ok(number),
            _ => Err(self.garbled()),
        }
    }

    pub(super) fn count(&mut self) -> Result<u64, StoreError> {
        self.number()?.try_into().map_err(|_| self.garbled())
    }

    /// Eight bytes: an id, an epoch, a life.
    pub(super) fn id(&mut self) -> Result<[u8; 8], StoreError> {
        self.bytes()?.try_into().map_err(|_| self.garbled())
    }

    /// Epoch and seq.
    pub(super) fn position(&mut self) -> Result<Position, StoreError> {
        Ok(Position { epoch: Epoch(u64::from_be_bytes(self.id()?)), seq: self.count()? })
    }

    /// Eight bytes, or none.
    pub(super) fn some_id(&mut self) -> Result<Option<[u8; 8]>, StoreError> {
        let bytes = self.bytes()?;
        if bytes.is_empty() { Ok(None) } else { bytes.try_into().map(Some).map_err(|_| self.garbled()) }
    }

    pub(super) fn list(&mut self) -> Result<Self, StoreError> {
        match self.fields.next() {
            Some(Value::Array(fields)) => Ok(Self { fields: fields.into_iter(), operation: self.operation }),
            // An HGETALL that a script hands on stays an array; a map comes from newer protocols.
            Some(Value::Map(pairs)) => {
                let fields: Vec<_> = pairs.into_iter().flat_map(|(name, value)| [name, value]).collect();
                Ok(Self { fields: fields.into_iter(), operation: self.operation })
            }
            _ => Err(self.garbled()),
        }
    }

    pub(super) fn error<T>(&self) -> Result<T, StoreError> {
        Err(self.garbled())
    }
}
