//! Who shares a node's room with whom.

use super::class::Class;

/// Requests that share a node's room: each share keeps a part of it that the others cannot take.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Share {
    /// What people wait for in front of a screen, and what every client needs first: pages, API, logins, tokens, pings.
    Talk,
    /// What pushes.
    Push,
    /// What reads images.
    Pull,
}

impl Share {
    /// Every share, those first whose requests are shortest.
    pub const ALL: [Share; 3] = [Share::Talk, Share::Push, Share::Pull];

    /// The place of this share in [`Share::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The share's name in the configuration and in metrics.
    pub const fn slug(self) -> &'static str {
        match self {
            Share::Talk => "talk",
            Share::Push => "push",
            Share::Pull => "pull",
        }
    }
}

impl Class {
    /// The share that this class belongs to.
    pub const fn share(self) -> Share {
        match self {
            // Whoever pushes asks for each blob first; whoever pulls never does.
            Class::BlobHead
            | Class::BlobDelete
            | Class::ManifestWrite
            | Class::ManifestDelete
            | Class::UploadStart
            | Class::UploadChunk
            | Class::UploadFinish
            | Class::UploadStatus
            | Class::UploadCancel => Share::Push,
            Class::BlobRead
            | Class::ManifestRead
            | Class::Catalog
            | Class::Tags
            | Class::Referrers
            | Class::Chart => Share::Pull,
            Class::Ping
            | Class::Token
            | Class::ApiRead
            | Class::ApiWrite
            | Class::UiSession
            | Class::UiAsset
            | Class::Internal
            | Class::Other => Share::Talk,
        }
    }

    /// Whether it goes on with a push that began: refused, it would cost the client what it sent so far.
    pub const fn goes_on(self) -> bool {
        matches!(
            self,
            Class::UploadChunk
                | Class::UploadFinish
                | Class::UploadStatus
                | Class::UploadCancel
                | Class::ManifestWrite
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_of_a_share_is_its_place_in_the_list() {
        for (place, share) in Share::ALL.into_iter().enumerate() {
            assert_eq!(share.index(), place);
        }
    }

    #[test]
    fn what_goes_on_with_a_push_is_a_push() {
        for class in Class::ALL.into_iter().filter(|class| class.goes_on()) {
            assert_eq!(class.share(), Share::Push, "{class:?}");
        }
    }
}
