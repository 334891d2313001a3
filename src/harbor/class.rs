//! What a request is, and what follows from that: who must be well to answer it, and whether it may be sent twice.

use super::circuit::Circuit;
use super::component::{Component, Components};

/// What a request is, from its method and path.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// `GET /v2/`: the first step of every registry client.
    Ping,
    /// `/service/token`.
    Token,
    /// `GET /v2/_catalog`.
    Catalog,
    /// `GET /v2/NAME/tags/list`.
    Tags,
    /// `GET /v2/NAME/referrers/DIGEST`.
    Referrers,
    /// `GET` or `HEAD` of a manifest.
    ManifestRead,
    /// `PUT` of a manifest.
    ManifestWrite,
    /// `DELETE` of a manifest or tag.
    ManifestDelete,
    /// `HEAD` of a blob; Harbor 2 writes on it (it saves the blob from garbage collection).
    BlobHead,
    /// `GET` of a blob.
    BlobRead,
    /// `DELETE` of a blob.
    BlobDelete,
    /// `POST /v2/NAME/blobs/uploads/`, mounts included.
    UploadStart,
    /// `PATCH` of an upload.
    UploadChunk,
    /// `PUT` of an upload.
    UploadFinish,
    /// `GET` or `HEAD` of an upload.
    UploadStatus,
    /// `DELETE` of an upload.
    UploadCancel,
    /// `GET`, `HEAD` or `OPTIONS` under `/api/` or `/service/`.
    ApiRead,
    /// Any other method there.
    ApiWrite,
    /// Logging in and out, OIDC.
    UiSession,
    /// Pages and files of the web interface.
    UiAsset,
    /// `/chartrepo/`.
    Chart,
    /// What Harbor's nginx refuses to outsiders; answered with 404 here.
    Internal,
    /// Anything else. Its lane is [`Lane::Ui`] even for an unknown path under `/v2/`; the shape of an error comes
    /// from [`Family::of`](super::Family::of) and the endpoint from [`Target::core`](super::Target::core).
    Other,
}

/// Traffic that is waited for, answered and made ready alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Everything that pushes and pulls need: `/v2/` and `/service/token`.
    Registry,
    /// `/api/`, `/chartrepo/` and the rest of `/service/`.
    Api,
    /// The web interface and whatever is nothing else.
    Ui,
}

/// Whether a request may be sent to another node after an attempt failed. A connection that could not be
/// established is no attempt: nothing was sent, and any class may go elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Repeat {
    /// Not once a byte of it was written.
    Never,
    /// Only when it has no body.
    WithoutBody,
    /// Until the first byte of an answer arrived; a body that was partly sent forbids it.
    BeforeFirstByte,
    /// As long as the whole body is kept; only on a node with the same storage.
    Buffered,
}

const CORE: Components = Components::of(&[Component::Core]);
// Harbor 1.5 answers neither tokens, API nor `/v2/` without its adminserver; other versions have none, and
// health reports it as good there.
const TOKEN: Components =
    Components::of(&[Component::Core, Component::Database, Component::Adminserver]);
const PULL: Components = TOKEN.with(Component::Registry);
// Core keeps the accepted size of an upload in Redis: without it a PATCH fails after its last byte.
const PUSH: Components = PULL.with(Component::Redis);
const SESSION: Components = TOKEN.with(Component::Redis);
const CHART: Components =
    Components::of(&[Component::Core, Component::Database, Component::Chartmuseum]);
const PORTAL: Components = Components::of(&[Component::Portal]);

impl Class {
    /// Every class, in the order of [`Class::index`].
    pub const ALL: [Class; 23] = [
        Class::Ping,
        Class::Token,
        Class::Catalog,
        Class::Tags,
        Class::Referrers,
        Class::ManifestRead,
        Class::ManifestWrite,
        Class::ManifestDelete,
        Class::BlobHead,
        Class::BlobRead,
        Class::BlobDelete,
        Class::UploadStart,
        Class::UploadChunk,
        Class::UploadFinish,
        Class::UploadStatus,
        Class::UploadCancel,
        Class::ApiRead,
        Class::ApiWrite,
        Class::UiSession,
        Class::UiAsset,
        Class::Chart,
        Class::Internal,
        Class::Other,
    ];

    /// The place of this class in [`Class::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in logs, metrics and limits.
    pub const fn slug(self) -> &'static str {
        match self {
            Class::Ping => "ping",
            Class::Token => "token",
            Class::Catalog => "catalog",
            Class::Tags => "tags",
            Class::Referrers => "referrers",
            Class::ManifestRead => "manifest_read",
            Class::ManifestWrite => "manifest_write",
            Class::ManifestDelete => "manifest_delete",
            Class::BlobHead => "blob_head",
            Class::BlobRead => "blob_read",
            Class::BlobDelete => "blob_delete",
            Class::UploadStart => "upload_start",
            Class::UploadChunk => "upload_chunk",
            Class::UploadFinish => "upload_finish",
            Class::UploadStatus => "upload_status",
            Class::UploadCancel => "upload_cancel",
            Class::ApiRead => "api_read",
            Class::ApiWrite => "api_write",
            Class::UiSession => "ui_session",
            Class::UiAsset => "ui_asset",
            Class::Chart => "chart",
            Class::Internal => "internal",
            Class::Other => "other",
        }
    }

    /// The lane this class travels in.
    pub const fn lane(self) -> Lane {
        match self.circuit() {
            Circuit::Pull | Circuit::Push | Circuit::Token => Lane::Registry,
            Circuit::Api => Lane::Api,
            Circuit::Ui => Lane::Ui,
        }
    }

    /// The components without which a node cannot answer this class. Job runners, scanners and the collector of
    /// garbage are in no set: a push does not wait for them.
    ///
    /// A ping needs the registry although Harbor 2 answers it from core alone, since the client goes on from it.
    pub const fn needs(self) -> Components {
        match self {
            Class::Ping
            | Class::Catalog
            | Class::Tags
            | Class::Referrers
            | Class::ManifestRead
            | Class::ManifestDelete
            | Class::BlobHead
            | Class::BlobRead
            | Class::BlobDelete => PULL,
            Class::ManifestWrite
            | Class::UploadStart
            | Class::UploadChunk
            | Class::UploadFinish
            | Class::UploadStatus
            | Class::UploadCancel => PUSH,
            Class::Token | Class::ApiRead | Class::ApiWrite => TOKEN,
            Class::UiSession => SESSION,
            Class::UiAsset => PORTAL,
            Class::Chart => CHART,
            Class::Internal => Components::EMPTY,
            Class::Other => CORE,
        }
    }

    /// Whether it belongs to an upload.
    pub const fn is_upload(self) -> bool {
        matches!(
            self,
            Class::UploadStart
                | Class::UploadChunk
                | Class::UploadFinish
                | Class::UploadStatus
                | Class::UploadCancel
        )
    }

    /// Whether a request of this class may be sent again. An upload's requests never: the node keeps the bytes
    /// it got, and a second copy with the old state destroys the upload.
    pub const fn repeat(self) -> Repeat {
        match self {
            Class::Ping
            | Class::Token
            | Class::Catalog
            | Class::Tags
            | Class::Referrers
            | Class::ManifestRead
            | Class::BlobHead
            | Class::BlobRead
            | Class::ApiRead
            | Class::UiAsset => Repeat::BeforeFirstByte,
            Class::UploadStart => Repeat::WithoutBody,
            Class::ManifestWrite => Repeat::Buffered,
            Class::ManifestDelete
            | Class::BlobDelete
            | Class::UploadChunk
            | Class::UploadFinish
            | Class::UploadStatus
            | Class::UploadCancel
            | Class::ApiWrite
            | Class::UiSession
            | Class::Chart
            | Class::Internal
            | Class::Other => Repeat::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_of_a_class_is_its_place_in_the_list() {
        for (place, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class.index(), place);
        }
    }

    #[test]
    fn no_two_classes_share_a_slug() {
        let slugs: std::collections::HashSet<_> = Class::ALL.iter().map(|c| c.slug()).collect();
        assert_eq!(slugs.len(), Class::ALL.len());
    }

    #[test]
    fn nothing_that_belongs_to_an_upload_session_is_repeated() {
        for class in Class::ALL {
            let of_a_session = class.slug().starts_with("upload_") && class != Class::UploadStart;
            if of_a_session {
                assert_eq!(class.repeat(), Repeat::Never, "{class:?}");
            }
        }
    }

    #[test]
    fn background_workers_hold_up_nobody() {
        let background = Components::of(&[
            Component::Jobservice,
            Component::Registryctl,
            Component::Trivy,
            Component::Notary,
            Component::Clair,
        ]);
        for class in Class::ALL {
            assert!(!class.needs().intersects(background), "{class:?}");
        }
    }

    #[test]
    fn only_the_portal_shows_the_portal() {
        for class in Class::ALL {
            let alone = class == Class::UiAsset;
            assert_eq!(class.needs().contains(Component::Portal), alone);
        }
    }
}
