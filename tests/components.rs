//! Each part of one node broken in turn: what needs it goes to the other node, and nothing else does.

mod account;
mod everything;
mod one_part;
