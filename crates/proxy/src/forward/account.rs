//! The answer's body on its way to the client, with the audit ticket on board: however the stream ends, the event is
//! closed with how.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use mk8s_model::Outcome;
use mk8s_net::BoxError;

use crate::{audit::Ticket, lifetime::Leash};

/// A body that writes down its own end.
pub(crate) struct Accounted<B: HttpBody> {
    body: B,
    ticket: Ticket,
    leash: Option<Leash>,
    /// Whether a cut stream ends as if it were complete. Right for a watch, which has no natural end and whose client
    /// asks again; wrong for anything whose end means something.
    ends_softly: bool,
}

impl<B: HttpBody> Accounted<B> {
    pub(crate) fn new(body: B, ticket: Ticket, leash: Option<Leash>, ends_softly: bool) -> Self {
        Self {
            body,
            ticket,
            leash,
            ends_softly,
        }
    }
}

impl<B: HttpBody<Data = Bytes, Error = BoxError> + Unpin> HttpBody for Accounted<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Some(leash) = &mut this.leash
            && let Poll::Ready(why) = leash.as_mut().poll(cx)
        {
            this.leash = None;
            this.ticket.end(Outcome::Ended);
            return Poll::Ready(if this.ends_softly {
                None
            } else {
                Some(Err(why.into()))
            });
        }
        Poll::Ready(match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    this.ticket.sent(data.len() as u64);
                }
                if this.body.is_end_stream() {
                    this.ticket.end(Outcome::Complete);
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                this.ticket.end(Outcome::UpstreamFailed);
                Some(Err(error))
            }
            None => {
                this.ticket.end(Outcome::Complete);
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B: HttpBody> Drop for Accounted<B> {
    fn drop(&mut self) {
        // A body without content is never polled.
        if self.body.is_end_stream() {
            self.ticket.end(Outcome::Complete);
        }
    }
}
