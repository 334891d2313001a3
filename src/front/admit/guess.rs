//! Passwords that are tried.
//!
//! A wrong password locks its user on the node that saw it, for everybody (harbor: `core/auth/authenticator.go`, 1.5 s). So
//! a client may try so many different passwords for one user, and the same wrong one so often; then nodes see no more of
//! it for a while. Counted are passwords, not requests: one that was right goes on, beside others that are not, since many
//! may share an address.

use std::time::Duration;

use http::StatusCode;

use super::cells::{self, Cells, Standing};
use super::{Knock, kind};
use crate::config::Rate;
use crate::harbor::class::{Class, Lane};

/// A password on its way to a node.
#[derive(Clone, Copy)]
pub(super) struct Guess {
    failures: u64,
    password: u64,
    rate: Rate,
    /// Nothing is known of this password: it was counted before the answer, so that many at once are counted, too.
    counted: bool,
    was_trusted: bool,
    class: Class,
    proves: bool,
}

impl Guess {
    /// A password that `pair` brings; none where nobody's name is with it.
    ///
    /// # Errors
    /// The client has tried too many; for how long.
    pub(super) fn begin(
        cells: &Cells,
        rate: Rate,
        knock: &Knock<'_>,
        pair: &[u8],
        secret: &[u8],
        now: u64,
    ) -> Result<Option<Self>, Duration> {
        let Some(end) = pair.iter().position(|byte| *byte == b':') else {
            return Ok(None);
        };
        let user = pair.get(..end).unwrap_or_default();
        if user.is_empty() {
            return Ok(None);
        }
        let mut guess = Guess {
            failures: kind::of_failures(knock.client, user),
            password: kind::of_password(knock.client, pair, secret),
            rate,
            counted: false,
            was_trusted: false,
            class: knock.class,
            proves: proves(knock),
        };
        match cells.standing(guess.password, rate, now) {
            Standing::Trusted => guess.was_trusted = true,
            Standing::Used => {}
            Standing::Empty(wait) => return Err(wait),
            Standing::Fresh => {
                cells.take(guess.failures, rate, now)?;
                let _ = cells.take_alone(guess.password, rate, now);
                guess.counted = true;
            }
        }
        Ok(Some(guess))
    }

    /// What the node said of it.
    pub(super) fn settle(self, cells: &Cells, status: StatusCode, now: u64) {
        if status == StatusCode::UNAUTHORIZED {
            // There it may as well be that the user is known and may not see the repository.
            if is_ambiguous(self.class) {
                return;
            }
            if self.was_trusted {
                let _ = cells.take(self.failures, self.rate, now);
            }
            if !self.counted {
                let _ = cells.take_alone(self.password, self.rate, now);
            }
        } else if self.proves && status.is_success() {
            if self.counted {
                cells.give_back(self.failures, self.rate);
            }
            cells.trust(self.password, now);
        } else {
            self.forget(cells);
        }
    }

    /// No node said anything of it.
    pub(super) fn forget(self, cells: &Cells) {
        if self.counted {
            cells.give_back(self.failures, self.rate);
            cells.add(self.password, -cells::one(self.rate), 0);
        }
    }
}

/// Whether success means that the password was right. Elsewhere Harbor takes who has a wrong one for a stranger, and lets
/// strangers read what is public.
fn proves(knock: &Knock<'_>) -> bool {
    match knock.class {
        Class::Ping
        | Class::ManifestWrite
        | Class::UploadStart
        | Class::UploadFinish
        | Class::ApiWrite => true,
        Class::Token => !knock.path.contains("scope="),
        Class::ApiRead => knock.path.ends_with("/users/current"),
        _ => false,
    }
}

fn is_ambiguous(class: Class) -> bool {
    class.lane() == Lane::Registry && !matches!(class, Class::Ping | Class::Token)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use http::Method;

    const RATE: Rate = Rate {
        count: 3,
        period: Duration::from_secs(30),
    };
    const NOW: u64 = 1_000_000_000;
    const OK: StatusCode = StatusCode::OK;
    const WRONG: StatusCode = StatusCode::UNAUTHORIZED;
    const LOGIN: (Class, &str) = (Class::Token, "/service/token?service=harbor-registry");
    const PULL: (Class, &str) = (Class::Token, "/service/token?scope=repository:a/b:pull");

    struct Place(Cells);

    impl Place {
        fn begin(
            &self,
            client: &str,
            pair: &str,
            (class, path): (Class, &str),
        ) -> Result<Guess, Duration> {
            let knock = Knock {
                client: client.parse().unwrap(),
                class,
                method: &Method::GET,
                path,
            };
            Guess::begin(&self.0, RATE, &knock, pair.as_bytes(), b"secret", NOW).map(Option::unwrap)
        }

        /// False: refused at the door.
        fn try_one(
            &self,
            client: &str,
            pair: &str,
            what: (Class, &str),
            status: StatusCode,
        ) -> bool {
            match self.begin(client, pair, what) {
                Ok(guess) => {
                    guess.settle(&self.0, status, NOW);
                    true
                }
                Err(_) => false,
            }
        }
    }

    const A: &str = "192.0.2.1";
    const B: &str = "192.0.2.2";

    fn guessed() -> Place {
        let place = Place(Cells::default());
        assert!(place.try_one(A, "ci:right", LOGIN, OK));
        for guess in ["ci:1", "ci:2", "CI:3"] {
            assert!(place.try_one(A, guess, LOGIN, WRONG), "{guess}");
        }
        place
    }

    #[test]
    fn further_guesses_of_this_client_for_this_user_stay_at_the_door_and_nobody_elses() {
        let place = guessed();
        assert!(!place.try_one(A, "ci:4", LOGIN, OK));
        assert!(!place.try_one(A, "ci:5", PULL, OK));
        assert!(place.try_one(B, "ci:4", LOGIN, WRONG));
        assert!(place.try_one(A, "other:4", LOGIN, WRONG));
    }

    #[test]
    fn a_password_that_was_right_goes_on_beside_them() {
        let place = guessed();
        for _ in 0..10 {
            assert!(place.try_one(A, "ci:right", PULL, OK));
        }
    }

    #[test]
    fn one_wrong_password_is_one_guess_however_often_it_comes_and_comes_not_forever() {
        let place = Place(Cells::default());
        let passed = (0..10).filter(|_| place.try_one(A, "ci:stale", LOGIN, WRONG));
        assert_eq!(passed.count(), 3);
        assert!(place.try_one(A, "ci:right", LOGIN, OK));
        assert!(place.try_one(A, "ci:right", LOGIN, OK));
    }

    #[test]
    fn guesses_at_the_same_moment_are_counted_before_they_are_answered() {
        let place = Place(Cells::default());
        let begun: Vec<_> = (0..10)
            .filter_map(|number| place.begin(A, &format!("ci:{number}"), LOGIN).ok())
            .collect();
        assert_eq!(begun.len(), 3);
        // A farm that begins to work brings one password many times.
        let place = Place(Cells::default());
        assert!((0..10).all(|_| place.begin(A, "ci:right", PULL).is_ok()));
    }

    #[test]
    fn what_a_stranger_may_read_proves_no_password_and_counts_for_none() {
        let place = Place(Cells::default());
        for number in 0..10 {
            let public = (Class::ApiRead, "/api/v2.0/systeminfo");
            assert!(place.try_one(A, &format!("ci:{number}"), public, OK));
        }
        for number in 0..3 {
            assert!(place.try_one(A, &format!("ci:{number}"), LOGIN, WRONG));
        }
        assert!(!place.try_one(A, "ci:4", LOGIN, WRONG));
    }

    #[test]
    fn a_repository_that_a_user_may_not_see_is_no_wrong_password_of_its_own() {
        let place = Place(Cells::default());
        let hidden = (Class::ManifestRead, "/v2/a/b/manifests/1");
        assert!((0..10).all(|_| place.try_one(A, "ci:right", hidden, WRONG)));
        // But whoever guesses there is seen.
        let guesses = (0..10).filter(|n| place.try_one(A, &format!("ci:{n}"), hidden, WRONG));
        assert_eq!(guesses.count(), 2);
    }

    #[test]
    fn a_password_that_is_right_no_more_is_counted_like_any_other() {
        let place = Place(Cells::default());
        assert!(place.try_one(A, "ci:old", LOGIN, OK));
        let passed = (0..10).filter(|_| place.try_one(A, "ci:old", LOGIN, WRONG));
        assert_eq!(passed.count(), 3);
        assert!(place.try_one(A, "ci:1", LOGIN, WRONG) && place.try_one(A, "ci:2", LOGIN, WRONG));
        assert!(!place.try_one(A, "ci:3", LOGIN, WRONG));
    }
}
