//! What broke the best proxies up to now. Each test is named after its class, and says what the door defends itself with;
//! honest clients beside the attack are served meanwhile.

mod beside;
mod cancelled;
mod floods;
mod heads;
mod resets;
mod slow;
mod stalls;

use std::time::Duration;

use crate::support::client::get;
use crate::support::door::{Door, Plan};
use crate::support::origin::{Origin, Then, before_with};

const BLOB: &str =
    "/v2/library/app/blobs/sha256:96f0b3f895dd2b387810047d256de70e7140b048e76f66a1fb4f058dbc333da2";
const UPLOAD: &str = "/v2/library/app/blobs/uploads/5d3cbbd1-61a6-4a4b-8e1c-5f7a0b6f3a11?_state=x";

const MIB: u64 = 1 << 20;
/// Nothing takes longer here.
const SOON: Duration = Duration::from_secs(30);

/// A node that takes every body, has blobs of `size` bytes, and never answers under `/slow`.
fn node(size: usize) -> Origin {
    let blob = "x".repeat(size);
    Origin::start(move |talk| {
        talk.hear_all();
        match talk.request() {
            heard if heard.target().contains("/slow") => {
                talk.wait();
                return Then::Close;
            }
            heard if heard.target().contains("/blobs/sha256:") => talk.answer("200 OK", "", &blob),
            heard => {
                let length = heard.body.len();
                talk.answer("202 Accepted", "", &length.to_string());
            }
        }
        Then::Next
    })
}

/// A door with such keys in `[timeouts]`.
fn patient(origin: &Origin, timeouts: &str) -> Door {
    before_with(origin, |plan: &mut Plan| {
        plan.more += &format!("[timeouts]\n{timeouts}\n");
    })
}

/// Somebody else is served.
async fn serves(door: &Door) {
    let answer = get(door, "/v2/library/app/tags/list").await;
    assert_eq!(answer.status, 202, "{answer:?}");
}
