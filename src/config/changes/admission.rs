//! What differs in what one client or user may have.

use super::Subject;
use crate::config::{Access, ClientLimits, Limits, Rate, Rates};

pub(super) fn of_admission(limits: &Limits, access: &[Access]) -> [Subject; 3] {
    let ClientLimits {
        exempt,
        connections,
        requests,
        rates,
        failures,
    } = &limits.client;
    let client = Subject::new("limits.client")
        .hidden("exempt", format!("{exempt:?}"))
        .shown("connections", connections)
        .shown("requests", requests)
        .shown("failures", Rate::show(*failures));
    let lists = Subject::new("access").hidden("lists", format!("{access:?}"));
    [
        of_rates(client, rates),
        of_rates(Subject::new("limits.user"), &limits.user),
        lists,
    ]
}

fn of_rates(subject: Subject, rates: &Rates) -> Subject {
    let Rates {
        token,
        login,
        catalog,
        search,
    } = *rates;
    subject
        .shown("token", Rate::show(token))
        .shown("login", Rate::show(login))
        .shown("catalog", Rate::show(catalog))
        .shown("search", Rate::show(search))
}
