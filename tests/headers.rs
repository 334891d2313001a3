//! What the door changes in heads, in both directions, and how it is knocked at.

mod addresses;
mod cookies;
mod forwarded;
mod knocking;
