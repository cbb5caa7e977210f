//! A watch, read event by event.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use mk8s_net::Body;

use crate::{Broken, splitter::StreamSplitter};

/// A watch that has begun.
#[derive(Debug)]
pub struct Watch {
    body: Body,
    splitter: StreamSplitter,
}

impl Watch {
    /// The events in this body.
    pub fn new(body: Body) -> Self {
        Self {
            body,
            splitter: StreamSplitter::default(),
        }
    }

    /// The next event, as JSON; `None` at the end. Whoever stops waiting for it loses nothing.
    ///
    /// # Errors
    /// [`Broken`] if it breaks off or can't be read.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            if let Some(event) = self.splitter.next()? {
                return Ok(Some(event));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.splitter.push(data);
                    }
                }
                Some(Err(why)) => return Err(Broken::Body(why)),
                None => {
                    // Cut off within an event is not the end of a watch, however the body says it.
                    self.splitter.finish().map_err(|why| Broken::Body(why.into()))?;
                    return Ok(None);
                }
            }
        }
    }
}
