//! The parts of a node that Harbor reports on.

/// A part of a node. Names are those of Harbor's health document; `Adminserver` existed up to 1.5 only.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Component {
    /// The application server (`ui` in 1.5). All API, token and `/v2/` traffic passes through it.
    Core,
    /// The distribution registry behind core.
    Registry,
    /// PostgreSQL (MariaDB in 1.5).
    Database,
    /// Redis: sessions, upload sizes, job queues.
    Redis,
    /// The static web interface.
    Portal,
    /// Runs replication, scans and garbage collection.
    Jobservice,
    /// Deletes blobs for garbage collection.
    Registryctl,
    /// Vulnerability scanner of 2.x.
    Trivy,
    /// Helm chart storage up to 2.7.
    Chartmuseum,
    /// Content trust up to 2.8.
    Notary,
    /// Vulnerability scanner of 1.x.
    Clair,
    /// Keeper of the configuration up to 1.5.
    Adminserver,
}

impl Component {
    /// Every component, in the order of their discriminants.
    pub const ALL: [Component; 12] = [
        Component::Core,
        Component::Registry,
        Component::Database,
        Component::Redis,
        Component::Portal,
        Component::Jobservice,
        Component::Registryctl,
        Component::Trivy,
        Component::Chartmuseum,
        Component::Notary,
        Component::Clair,
        Component::Adminserver,
    ];

    /// The name in Harbor's health document, in our status and as a metric label.
    pub const fn name(self) -> &'static str {
        match self {
            Component::Core => "core",
            Component::Registry => "registry",
            Component::Database => "database",
            Component::Redis => "redis",
            Component::Portal => "portal",
            Component::Jobservice => "jobservice",
            Component::Registryctl => "registryctl",
            Component::Trivy => "trivy",
            Component::Chartmuseum => "chartmuseum",
            Component::Notary => "notary",
            Component::Clair => "clair",
            Component::Adminserver => "adminserver",
        }
    }

    /// The component of that name; `None` for one that this version of Seawall has never heard of.
    pub fn from_name(name: &str) -> Option<Component> {
        Component::ALL.into_iter().find(|c| c.name() == name)
    }

    /// The place of this component in [`Component::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// A set of components, as small as a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Components(u16);

impl Components {
    /// No component.
    pub const EMPTY: Components = Components(0);
    /// Every component.
    pub const ALL: Components = Components::of(&Component::ALL);

    /// The set of the listed components.
    pub const fn of(list: &[Component]) -> Components {
        let mut bits = 0;
        let mut rest = list;
        while let [first, tail @ ..] = rest {
            bits |= 1 << *first as u16;
            rest = tail;
        }
        Components(bits)
    }

    /// Whether `component` is in the set.
    pub const fn contains(self, component: Component) -> bool {
        self.0 & (1 << component as u16) != 0
    }

    /// Everything in either set.
    pub const fn union(self, other: Components) -> Components {
        Components(self.0 | other.0)
    }

    /// Everything in this set that is not in `other`.
    pub const fn minus(self, other: Components) -> Components {
        Components(self.0 & !other.0)
    }

    /// Whether the two sets share a component.
    pub const fn intersects(self, other: Components) -> bool {
        self.0 & other.0 != 0
    }

    /// The set as bits, for an atomic.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The set that [`Components::bits`] gave.
    pub const fn from_bits(bits: u16) -> Components {
        Components(bits & Components::ALL.0)
    }

    /// What is in both.
    pub const fn intersection(self, other: Components) -> Components {
        Components(self.0 & other.0)
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// This set and one more.
    #[must_use]
    pub const fn with(self, component: Component) -> Components {
        Components(self.0 | 1 << component as u16)
    }

    /// This set without `component`.
    #[must_use]
    pub const fn without(self, component: Component) -> Components {
        Components(self.0 & !(1 << component as u16))
    }

    /// The components of the set, in the order of [`Component::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Component> {
        Component::ALL
            .into_iter()
            .filter(move |c| self.contains(*c))
    }
}

impl std::fmt::Debug for Components {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_component() {
        for component in Component::ALL {
            assert_eq!(Component::from_name(component.name()), Some(component));
        }
        assert_eq!(Component::from_name("exporter"), None);
    }

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        let set = Components::of(&[Component::Core, Component::Adminserver]);
        assert_eq!(
            set.iter().collect::<Vec<_>>(),
            [Component::Core, Component::Adminserver]
        );
        assert!(set.without(Component::Core).minus(set).is_empty());
        assert!(set.intersects(Components::EMPTY.with(Component::Core)));
        assert!(!set.intersects(Components::of(&[Component::Redis])));
    }

    #[test]
    fn all_is_all() {
        assert_eq!(Components::ALL.iter().count(), Component::ALL.len());
    }
}
