//! What real Harbors did that nobody would have guessed, each held by a test.

mod answers;
mod connections;
mod early;
mod evidence;
