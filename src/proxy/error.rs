//! Why a request got no answer from a node: what happened, and whose fault it was. What the client sees of it is
//! `front::rescue`'s to say.

/// Why a request got no answer from a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No node accepts what this class needs.
    #[error("no Harbor node is available")]
    NoNode,
    /// Every node that could serve it works on as much as it may, and others wait already, or it waited too long.
    #[error("no Harbor node has room for another request")]
    Busy,
    /// Every node that was tried refused the connection.
    #[error("no Harbor node could be reached")]
    Unreachable,
    /// The node broke off before it answered, and the request must not be sent twice.
    #[error("the Harbor node broke off before it answered")]
    NodeBroke,
    /// The node did not begin its answer in time.
    #[error("the Harbor node did not answer in time")]
    NodeSilent,
    /// The same in the middle of an upload, of which the client has to begin anew.
    #[error("the Harbor node broke off in the middle of an upload")]
    UploadCut,
    /// The client broke off its own body.
    #[error("the client broke off its request")]
    ClientGone,
    /// The client's body came too slowly.
    #[error("the request body arrived too slowly")]
    ClientSlow,
    /// The body is larger than we keep for a request that may have to be sent twice.
    #[error("the manifest is too large")]
    TooLarge,
}
