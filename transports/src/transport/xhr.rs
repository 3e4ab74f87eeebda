//! `POST …/xhr`: a poll, answered with one frame and a line feed.

use bytes::Bytes;

use crate::Frame;
use crate::receive::{Kind, Wire};

pub(crate) struct Xhr;

impl Wire for Xhr {
    const CONTENT_TYPE: &'static str = "application/javascript; charset=UTF-8";
    const KIND: Kind = Kind::Poll;

    fn wrap(&self, frame: &Frame) -> Bytes {
        frame.line()
    }
}
