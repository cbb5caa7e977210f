//! A body that is copied while it passes.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use mk8s_net::{Body, BoxError};

/// A body that passes as it is. If it ends as it should, its copy is handed on before the client has the last of it.
pub(crate) struct Recorded {
    body: Body,
    copy: Option<Record>,
}

/// How much may be copied at the same time, by all together, in bytes. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<AtomicU64>);

struct Record {
    bytes: Vec<u8>,
    /// What of the room is taken for it.
    taken: u64,
    room: Room,
    max_bytes: u64,
    announced: Option<u64>,
    done: Box<dyn FnOnce(Vec<u8>) + Send>,
}

impl Recorded {
    /// Copies up to `max_bytes`. The copy must be as long as was announced.
    pub(crate) fn new(
        body: Body,
        announced: Option<u64>,
        max_bytes: u64,
        room: Room,
        done: impl FnOnce(Vec<u8>) + Send + 'static,
    ) -> Self {
        let copy = Record {
            bytes: Vec::new(),
            taken: 0,
            room,
            max_bytes,
            announced,
            done: Box::new(done),
        };
        let mut recorded = Self {
            body,
            copy: Some(copy),
        };
        if announced.is_some_and(|length| length > max_bytes) {
            recorded.copy = None;
        }
        recorded.finish_if_ended();
        recorded
    }

    pub(crate) fn into_body(self) -> Body {
        match self.copy {
            Some(_) => Body::boxed(self),
            None => self.body,
        }
    }

    fn push(&mut self, data: &[u8]) {
        if let Some(copy) = &mut self.copy
            && !copy.push(data)
        {
            self.copy = None;
        }
    }

    /// Whoever reads it needn't ask again for an end that is known already.
    fn finish_if_ended(&mut self) {
        if self.body.is_end_stream() {
            self.finish();
        }
    }

    fn finish(&mut self) {
        if let Some(copy) = self.copy.take() {
            copy.finish();
        }
    }
}

impl HttpBody for Recorded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => match frame.data_ref() {
                Some(data) => {
                    this.push(data);
                    this.finish_if_ended();
                }
                None => this.copy = None,
            },
            Some(Err(_)) => this.copy = None,
            None => this.finish(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Room {
    pub(crate) fn new(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    fn take(&self, bytes: u64) -> bool {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes)
            })
            .is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Record {
    fn push(&mut self, data: &[u8]) -> bool {
        let length = (self.bytes.len() + data.len()) as u64;
        if length > self.max_bytes || self.announced.is_some_and(|announced| length > announced) {
            return false;
        }
        if length > self.taken {
            let wanted = self
                .announced
                .unwrap_or_else(|| length.max(self.taken * 2).min(self.max_bytes));
            if !self.room.take(wanted - self.taken) {
                return false;
            }
            self.taken = wanted;
            self.bytes.reserve_exact(wanted as usize - self.bytes.len());
        }
        self.bytes.extend_from_slice(data);
        true
    }

    fn finish(mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if self
            .announced
            .is_none_or(|announced| announced == bytes.len() as u64)
        {
            let done = std::mem::replace(&mut self.done, Box::new(drop));
            done(bytes);
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.room.give_back(self.taken);
    }
}
