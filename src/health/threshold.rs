//! Active evidence: probes must agree several times before a state flips.

/// Good or bad, after `rise` good or `fall` bad probes in a row; unknown before the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Threshold {
    rise: u32,
    fall: u32,
    state: Option<bool>,
    /// Probes in a row that contradict the state.
    against: u32,
}

impl Threshold {
    /// Unknown. A `rise` or `fall` of zero counts as one.
    pub const fn new(rise: u32, fall: u32) -> Self {
        Self {
            rise,
            fall,
            state: None,
            against: 0,
        }
    }

    /// Judges by other numbers from now on, with what it knows.
    pub const fn set_limits(&mut self, rise: u32, fall: u32) {
        self.rise = rise;
        self.fall = fall;
    }

    /// What is known: good (`true`), bad, or nothing yet.
    pub const fn state(&self) -> Option<bool> {
        self.state
    }

    /// A good probe. `Some(true)` when this one flipped the state.
    ///
    /// `eager`: this one is enough, whatever `rise` says; for when no better node is left.
    pub fn good(&mut self, eager: bool) -> Option<bool> {
        let needed = if eager { 1 } else { self.rise };
        self.hear(true, needed)
    }

    /// A bad probe. `Some(false)` when this one flipped the state.
    pub fn bad(&mut self) -> Option<bool> {
        self.hear(false, self.fall)
    }

    fn hear(&mut self, word: bool, needed: u32) -> Option<bool> {
        if self.state == Some(word) {
            self.against = 0;
            return None;
        }
        self.against = self.against.saturating_add(1);
        if self.state.is_some() && self.against < needed {
            return None;
        }
        self.state = Some(word);
        self.against = 0;
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_decides() {
        assert_eq!(Threshold::new(2, 3).good(false), Some(true));
        assert_eq!(Threshold::new(2, 3).bad(), Some(false));
    }

    #[test]
    fn it_falls_after_as_many_bad_probes_in_a_row_as_asked() {
        let mut threshold = Threshold::new(2, 3);
        threshold.good(false);
        assert_eq!(threshold.bad(), None);
        assert_eq!(threshold.bad(), None);
        assert_eq!(threshold.good(false), None);
        assert_eq!(threshold.bad(), None);
        assert_eq!(threshold.bad(), None);
        assert_eq!(threshold.bad(), Some(false));
        assert_eq!(threshold.bad(), None);
    }

    #[test]
    fn it_rises_after_as_many_good_probes_in_a_row_as_asked() {
        let mut threshold = Threshold::new(2, 1);
        threshold.bad();
        assert_eq!(threshold.good(false), None);
        assert_eq!(threshold.good(false), Some(true));
    }

    #[test]
    fn an_eager_one_rises_at_once() {
        let mut threshold = Threshold::new(5, 1);
        threshold.bad();
        assert_eq!(threshold.good(true), Some(true));
    }
}
