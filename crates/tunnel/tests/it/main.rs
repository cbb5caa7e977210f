//! Both ends of a tunnel, over real sockets with real certificates, and ends that misbehave.

mod agents;
mod calls;
mod central;
mod support;
