//! Which requests fail together, and which may be compared with each other.

use super::class::Class;

/// Requests that need the same parts of a node, so that a node can be left out for one and serve the others: a token
/// service that hangs, or a registry that cannot write, fails nothing else.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Circuit {
    /// Reads of `/v2/`.
    Pull,
    /// Writes and deletes of `/v2/`.
    Push,
    /// `/service/token`.
    Token,
    /// `/api/`, `/chartrepo/` and the rest of `/service/`.
    Api,
    /// The web interface and whatever is nothing else.
    Ui,
}

impl Circuit {
    /// Every circuit, in the order of [`Circuit::index`].
    pub const ALL: [Circuit; 5] = [
        Circuit::Pull,
        Circuit::Push,
        Circuit::Token,
        Circuit::Api,
        Circuit::Ui,
    ];

    /// The place of this circuit in [`Circuit::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The circuit's name in status and logs.
    pub const fn slug(self) -> &'static str {
        match self {
            Circuit::Pull => "pull",
            Circuit::Push => "push",
            Circuit::Token => "token",
            Circuit::Api => "api",
            Circuit::Ui => "ui",
        }
    }
}

impl Class {
    /// The circuit this class belongs to.
    pub const fn circuit(self) -> Circuit {
        match self {
            Class::Ping
            | Class::Catalog
            | Class::Tags
            | Class::Referrers
            | Class::ManifestRead
            | Class::BlobHead
            | Class::BlobRead => Circuit::Pull,
            Class::ManifestWrite
            | Class::ManifestDelete
            | Class::BlobDelete
            | Class::UploadStart
            | Class::UploadChunk
            | Class::UploadFinish
            | Class::UploadStatus
            | Class::UploadCancel => Circuit::Push,
            Class::Token => Circuit::Token,
            Class::ApiRead | Class::ApiWrite | Class::Chart | Class::Internal => Circuit::Api,
            Class::UiSession | Class::UiAsset | Class::Other => Circuit::Ui,
        }
    }

    /// Whether equal nodes begin to answer it in about the same time. What writes takes as long as its content wants: the
    /// end of a large upload takes minutes on a sound node.
    pub const fn is_comparable(self) -> bool {
        match self {
            Class::Ping
            | Class::Token
            | Class::Tags
            | Class::Referrers
            | Class::ManifestRead
            | Class::BlobHead
            | Class::BlobRead
            | Class::UploadStart
            | Class::ApiRead
            | Class::UiSession
            | Class::UiAsset => true,
            Class::Catalog
            | Class::ManifestWrite
            | Class::ManifestDelete
            | Class::BlobDelete
            | Class::UploadChunk
            | Class::UploadFinish
            | Class::UploadStatus
            | Class::UploadCancel
            | Class::ApiWrite
            | Class::Chart
            | Class::Internal
            | Class::Other => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_of_a_circuit_is_its_place_in_the_list() {
        for (place, circuit) in Circuit::ALL.into_iter().enumerate() {
            assert_eq!(circuit.index(), place);
        }
    }
}
