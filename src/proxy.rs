//! One request to one node and back. This is the function to read first.
//!
//! snapshot → class → affinity → course → loop { lease → attempt → (again, or further) } → answer. Everything before it
//! (judging the request, admission, the access log) is `front`'s; everything after it happens as the answer's body is
//! read, going on at another node included ([`resume`]).

pub mod attempt;
pub mod body;
mod carriage;
mod ending;
pub mod error;
pub mod finish;
mod further;
mod promise;
mod proof;
pub mod replay;
pub mod request;
pub mod response;
pub mod resume;
mod trial;
pub mod upgrade;
mod whole;

use http::Response;
use hyper::upgrade::OnUpgrade;

use crate::state::State;
use crate::state::snapshot::Snapshot;
use crate::upstream::lease::Lease;

use body::{FromNode, Reply};
use carriage::{Carriage, Next};
use error::Fault;
use finish::Record;
use request::Errand;
use response::Dress;
use trial::Answer;

/// An answer for the client; where the node left HTTP, with the two ends of the tunnel.
pub struct Carried {
    /// The answer.
    pub response: Response<Reply>,
    /// Both ends and the lease, when the answer is 101.
    pub tunnel: Option<(OnUpgrade, OnUpgrade, Lease)>,
}

/// Carries a request to a node that can serve it, and the beginning of its answer back.
///
/// # Errors
/// [`Fault`] when no node answered.
pub async fn carry(
    state: &State,
    snapshot: &Snapshot,
    errand: Errand,
    record: &mut Record,
) -> Result<Carried, Fault> {
    let mut carriage = Carriage::load(state, snapshot, errand, record).await?;
    snapshot.budget.deposit(carriage.now);
    loop {
        let next = match carriage.next().await {
            Some(Ok(answer)) => carriage.weigh(answer).await,
            Some(Err(missed)) => carriage.missed(missed)?,
            None => carriage.turn().await,
        };
        match next {
            Next::Arrived(carried) => return Ok(carried),
            Next::Again => {}
            Next::Over => return carriage.give_up().await,
        }
    }
}

fn deliver(
    answer: Answer,
    dress: &Dress,
    to_core: bool,
    snapshot: &Snapshot,
    upgrade: &mut Option<OnUpgrade>,
) -> Carried {
    let Answer {
        mut response,
        connection,
        lease,
    } = answer;
    if upgrade::agreed(&response)
        && let Some(client) = upgrade.take()
    {
        let node = hyper::upgrade::on(&mut response);
        connection.set_free();
        let (head, _) = response.into_parts();
        let mut response = Response::from_parts(head, Reply::local(Default::default()));
        dress.switching(response.headers_mut());
        return Carried {
            response,
            tunnel: Some((client, node, lease)),
        };
    }
    let (mut head, incoming) = response.into_parts();
    let forgiving = dress.answer(&mut head, lease.backend(), snapshot.public.as_ref());
    let stall = snapshot.patience.stall;
    let body = Reply::from_node(FromNode::new(
        incoming, lease, connection, to_core, forgiving, stall,
    ));
    Carried {
        response: Response::from_parts(head, body),
        tunnel: None,
    }
}
