//! `[limits.client]`, `[limits.user]` and `[[access]]`: what one client or one user may have, and who may come at all.

use std::time::Duration;

use ipnet::IpNet;

use super::scope::Scope;
use super::{Wrong, duration, host};
use crate::harbor::class::Class;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const MOST: u32 = 1_000_000;

/// So many within a time; all of them at once, if the time before was quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many; never 0.
    pub count: u32,
    /// Within which time.
    pub period: Duration,
}

impl Rate {
    /// Reads `600/m`, `10/s`, `10/5m`; `off` is none.
    ///
    /// # Errors
    /// Anything else, and numbers out of range.
    pub fn read(text: &str) -> Result<Option<Self>, Wrong> {
        let text = text.trim();
        if text == "off" {
            return Ok(None);
        }
        let wrong = || {
            Wrong::new(
                format!("`{}` is not a rate", text.escape_debug()),
                format!(
                    "write it like \"600/m\" or \"10/5m\", at most {MOST} within 1s to 1h, or \"off\""
                ),
            )
        };
        let (count, period) = text.split_once('/').ok_or_else(wrong)?;
        let count = count.trim().parse().map_err(|_| wrong())?;
        let period = match period.trim() {
            unit if unit.starts_with(|c: char| c.is_ascii_digit()) => duration::parse(unit),
            unit => duration::parse(&format!("1{unit}")),
        };
        let period = period.map_err(|_| wrong())?;
        let fits = (1..=MOST).contains(&count) && (SECOND..=HOUR).contains(&period);
        let rate = Rate { count, period };
        fits.then_some(Some(rate)).ok_or_else(wrong)
    }

    /// As it is written.
    pub fn show(rate: Option<Self>) -> String {
        rate.map_or("off".to_owned(), |rate| {
            format!("{}/{}", rate.count, duration::show(rate.period))
        })
    }
}

/// How often; none: as often as one likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Tokens.
    pub token: Option<Rate>,
    /// Logins at the pages, and requests to the API that bring a password.
    pub login: Option<Rate>,
    /// Lists of all repositories.
    pub catalog: Option<Rate>,
    /// Searches.
    pub search: Option<Rate>,
}

impl Rates {
    fn read(scope: &mut Scope<'_>) -> Self {
        let mut rate = |key| scope.word(key, Rate::read).flatten();
        Self {
            token: rate("token"),
            login: rate("login"),
            catalog: rate("catalog"),
            search: rate("search"),
        }
    }

    pub(super) fn read_of_user(mut scope: Scope<'_>) -> Self {
        let rates = Self::read(&mut scope);
        scope.finish();
        rates
    }
}

/// What one client may have: an IPv4 address, or a /64 network of IPv6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// Clients to which no limit per client or user applies.
    pub exempt: Vec<IpNet>,
    /// Connections at the same time; 0: any number.
    pub connections: u32,
    /// Requests at the same time; 0: any number.
    pub requests: u32,
    /// How often.
    pub rates: Rates,
    /// Different wrong passwords for one user, and repetitions of one wrong password.
    pub failures: Option<Rate>,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            exempt: Vec::new(),
            connections: 0,
            requests: 0,
            rates: Rates::default(),
            failures: Some(Rate {
                count: 10,
                period: Duration::from_secs(300),
            }),
        }
    }
}

impl ClientLimits {
    pub(super) fn read(mut scope: Scope<'_>) -> Self {
        let default = Self::default();
        let limits = Self {
            exempt: scope.words("exempt", host::network),
            connections: scope
                .number("connections", 0..=MOST)
                .unwrap_or(default.connections),
            requests: scope
                .number("requests", 0..=MOST)
                .unwrap_or(default.requests),
            rates: Rates::read(&mut scope),
            failures: scope
                .word("failures", Rate::read)
                .unwrap_or(default.failures),
        };
        scope.finish();
        limits
    }
}

/// Who may send requests of some classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The classes; empty: all.
    pub classes: Vec<Class>,
    /// Only clients of these networks; empty: everybody.
    pub allow: Vec<IpNet>,
    /// Nobody of these networks, even if they are allowed.
    pub deny: Vec<IpNet>,
}

impl Access {
    pub(super) fn read(mut scope: Scope<'_>) -> Self {
        let access = Self {
            classes: scope.words("classes", class),
            allow: scope.words("allow", host::network),
            deny: scope.words("deny", host::network),
        };
        if !scope.has("allow") && !scope.has("deny") {
            let fix = "write allow = [\"10.0.0.0/8\"] or deny = […], or remove the table";
            scope.wrong("allow", Wrong::new("and `deny` are both missing", fix));
        }
        scope.finish();
        access
    }
}

fn class(text: &str) -> Result<Class, Wrong> {
    let found = Class::ALL.into_iter().find(|class| class.slug() == text);
    found.ok_or_else(|| {
        let slugs = Class::ALL.map(Class::slug);
        let near = super::notes::nearest(text, slugs.into_iter());
        let fix = near.map_or_else(
            || format!("write some of {}", slugs.join(", ")),
            |near| format!("did you mean \"{near}\"?"),
        );
        Wrong::new(format!("`{}` is no class", text.escape_debug()), fix)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_rate_is_a_number_within_a_time() {
        let rate = |count, seconds| {
            Some(Rate {
                count,
                period: Duration::from_secs(seconds),
            })
        };
        assert_eq!(Rate::read("600/m").unwrap(), rate(600, 60));
        assert_eq!(Rate::read("10 / 5m").unwrap(), rate(10, 300));
        assert_eq!(Rate::read("off").unwrap(), None);
        assert_eq!(Rate::show(rate(10, 300)), "10/5m");
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in [
            "",
            "10",
            "0/s",
            "-1/s",
            "10/",
            "10/2h",
            "10/1ms",
            "1000001/s",
            "a/m",
            "10/x",
        ] {
            assert!(Rate::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_class_is_known_by_its_slug() {
        assert_eq!(class("api_write").unwrap(), Class::ApiWrite);
        assert!(class("api_wirte").unwrap_err().fix.contains("api_write"));
    }

    proptest! {
        #[test]
        fn reading_a_rate_never_panics(text: String) {
            let _ = Rate::read(&text);
        }
    }
}
