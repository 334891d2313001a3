//! What names a session: its kind, and the SHA-256 of what clients name it by.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// A reason to prefer a node.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The upload of a blob: its node has the bytes so far.
    Upload,
    /// A session of the web pages.
    Ui,
    /// A repository that was written to a moment ago, to the node that took it.
    Push,
    /// A project whose data the nodes do not share, to the node that writes it.
    Writer,
    /// An image that was deleted, to the node that did it: copies elsewhere are not shown any more.
    Gone,
}

impl Kind {
    /// Every kind, in the order of [`Kind::index`].
    pub const ALL: [Kind; 5] = [Kind::Upload, Kind::Ui, Kind::Push, Kind::Writer, Kind::Gone];

    /// Whether it is listed for operators and forgotten at their word. The others are knowledge of data, and no sessions.
    pub const fn is_listed(self) -> bool {
        matches!(self, Kind::Upload | Kind::Ui | Kind::Push)
    }

    /// The place of this kind in [`Kind::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The word for it in keys of the store, in the API and in metrics.
    pub const fn slug(self) -> &'static str {
        match self {
            Kind::Upload => "upload",
            Kind::Ui => "ui",
            Kind::Push => "push",
            Kind::Writer => "writer",
            Kind::Gone => "gone",
        }
    }

    /// The kind of that word.
    pub fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.slug() == slug)
    }
}

/// Names one session. The id itself, which may be as good as a password, is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// What it is.
    pub kind: Kind,
    digest: [u8; 32],
}

impl Key {
    /// The key of the session that clients name by `id`.
    pub fn new(kind: Kind, id: &str) -> Self {
        Key {
            kind,
            digest: Sha256::digest(id.as_bytes()).into(),
        }
    }

    /// A number that all doors make of it, for the choice of a node by hash.
    pub fn hash(&self) -> u64 {
        self.digest
            .first_chunk()
            .map_or(0, |first| u64::from_be_bytes(*first))
    }

    /// Its name in a store, behind the prefix: `ui:` and 64 hexadecimal digits.
    pub fn name(&self, prefix: &str) -> String {
        let mut name = String::with_capacity(prefix.len() + 8 + 64);
        name.push_str(prefix);
        name.push_str(self.kind.slug());
        name.push(':');
        for byte in self.digest {
            // Writing to a String cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        name
    }

    /// The key whose [`name`](Key::name) this is; `None` for anything else that stands in the store.
    pub fn from_name(name: &str, prefix: &str) -> Option<Self> {
        let (kind, digits) = name.strip_prefix(prefix)?.split_once(':')?;
        let kind = Kind::from_slug(kind)?;
        let mut digest = [0; 32];
        let digits = digits.as_bytes();
        if digits.len() != 2 * digest.len() {
            return None;
        }
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).ok()?;
            let lower = pair.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            *byte = u8::from_str_radix(pair, 16).ok().filter(|_| lower)?;
        }
        Some(Key { kind, digest })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_id_is_not_in_the_name() {
        let name = Key::new(Kind::Ui, "0123456789abcdef0123456789abcdef").name("seawall:");
        assert_eq!(name.len(), "seawall:ui:".len() + 64);
        assert!(!name.contains("0123456789abcdef0123456789abcdef"));
    }

    #[test]
    fn one_id_is_another_session_in_another_kind() {
        assert_ne!(Key::new(Kind::Ui, "a"), Key::new(Kind::Upload, "a"));
    }

    proptest! {
        #[test]
        fn a_name_reads_back(id: String, kind in 0..5_usize, prefix in "[a-z:]{1,9}") {
            let key = Key::new(Kind::ALL[kind], &id);
            prop_assert_eq!(Key::from_name(&key.name(&prefix), &prefix), Some(key));
        }

        #[test]
        fn no_name_makes_it_panic(name in "(seawall:)?(ui|upload|push|doors)?:?\\PC{0,70}") {
            if let Some(key) = Key::from_name(&name, "seawall:") {
                prop_assert_eq!(key.name("seawall:"), name);
            }
        }
    }
}
