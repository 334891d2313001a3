//! What a proxy must do to any HTTP message, whatever it is about (RFC 9110 §7): what ends at this hop, who the
//! client was, and where a node's redirects must point. Pure functions over header maps.

pub mod forwarded;
pub mod frames;
pub mod framing;
pub mod hop;
pub mod id;
pub mod location;
pub mod names;
pub mod range;
pub mod survey;
