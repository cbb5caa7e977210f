//! The client against a server that speaks the service's own protocol.
