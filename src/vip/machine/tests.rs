#![allow(clippy::unwrap_used)]

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn ip(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn terms() -> Terms {
    Terms {
        version: 2,
        interval: SECOND,
        preempt: true,
        preempt_delay: Duration::ZERO,
    }
}

fn started(priority: u8, now: Instant) -> Machine {
    with(terms(), priority, now)
}

fn with(terms: Terms, priority: u8, now: Instant) -> Machine {
    let mut machine = Machine::new(terms, ip(1), priority, now);
    machine.start(now);
    machine.actions();
    machine
}

fn master(priority: u8, now: Instant) -> Machine {
    let mut machine = started(priority, now);
    let due = machine.next_deadline().unwrap();
    machine.tick(due);
    machine.actions();
    machine
}

#[test]
fn without_a_master_a_backup_takes_over_after_three_adverts_and_its_skew() {
    let now = Instant::now();
    let mut machine = started(156, now);
    let due = machine.next_deadline().unwrap();
    assert_eq!(due - now, 3 * SECOND + SECOND * 100 / 256);
    machine.tick(due - Duration::from_nanos(1));
    assert_eq!(machine.state(), State::Backup);
    machine.tick(due);
    let became = Action::Tell(News::Became(State::Master));
    assert_eq!(
        machine.actions(),
        [Action::Send(156), Action::Hold, Action::Announce, became]
    );
    assert_eq!(machine.next_deadline(), Some(due + SECOND));
}

#[test]
fn who_inherits_the_addresses_is_master_with_an_advert_at_once_and_tells_no_neighbour() {
    let now = Instant::now();
    let mut machine = Machine::new(terms(), ip(1), 156, now);
    machine.inherit(now);
    let became = Action::Tell(News::Became(State::Master));
    let actions = machine.actions();
    assert_eq!(actions, [Action::Send(156), Action::Hold, became]);
    assert_eq!(machine.next_deadline(), Some(now + SECOND));
    machine.start(now);
    assert_eq!(machine.state(), State::Master);
}

#[test]
fn a_master_that_pauses_says_so_by_one_more_advert_and_stays_what_it_was() {
    let now = Instant::now();
    let mut machine = master(156, now);
    machine.pause(now + 5 * SECOND);
    assert_eq!(machine.actions(), [Action::Send(156)]);
    assert_eq!(machine.state(), State::Master);
    let mut backup = started(156, now);
    backup.pause(now);
    assert!(backup.actions().is_empty());
}

#[test]
fn the_owner_of_the_address_waits_for_nobody() {
    let now = Instant::now();
    assert_eq!(started(255, now).state(), State::Master);
}

#[test]
fn a_master_that_resigns_is_followed_after_the_skew() {
    let now = Instant::now();
    let mut machine = started(100, now);
    machine.heard(ip(2), 200, SECOND, now);
    machine.heard(ip(2), 0, SECOND, now);
    assert_eq!(machine.next_deadline(), Some(now + SECOND * 156 / 256));
}

#[test]
fn version_3_goes_by_the_interval_of_the_master() {
    let now = Instant::now();
    let three = Terms {
        version: 3,
        ..terms()
    };
    let mut machine = with(three, 128, now);
    machine.heard(ip(2), 200, SECOND / 10, now);
    assert_eq!(
        machine.next_deadline(),
        Some(now + SECOND * 3 / 10 + SECOND / 20)
    );
}

#[test]
fn a_master_yields_to_a_better_one_and_not_to_a_worse_one() {
    let mut machine = master(100, Instant::now());
    let now = machine.next_deadline().unwrap();
    machine.heard(ip(2), 99, SECOND, now);
    assert_eq!(machine.state(), State::Master);
    assert!(machine.actions().contains(&Action::Send(100)));
    machine.heard(ip(2), 101, SECOND, now);
    assert_eq!(machine.state(), State::Backup);
    let actions = machine.actions();
    assert!(
        actions.contains(&Action::Drop) && !actions.contains(&Action::Send(0)),
        "{actions:?}"
    );
}

#[test]
fn of_two_equal_masters_the_higher_address_stays() {
    let mut machine = master(100, Instant::now());
    let now = machine.next_deadline().unwrap();
    machine.heard(ip(0), 100, SECOND, now);
    assert_eq!(machine.state(), State::Master);
    machine.heard(ip(2), 100, SECOND, now);
    assert_eq!(machine.state(), State::Backup);
}

#[test]
fn a_lower_master_is_preempted_only_where_that_is_wanted_and_not_before_its_delay() {
    let now = Instant::now();
    let takes_over = |preempt, delay: u64| {
        let terms = Terms {
            preempt,
            preempt_delay: SECOND * u32::try_from(delay).unwrap(),
            ..terms()
        };
        let mut machine = with(terms, 200, now);
        (0..30_u32).find(|second| {
            let now = now + SECOND * *second;
            machine.tick(now);
            machine.heard(ip(2), 100, SECOND, now);
            machine.state() == State::Master
        })
    };
    assert_eq!(takes_over(true, 0), Some(4));
    let late = takes_over(true, 10).unwrap();
    assert!((10..=15).contains(&late), "{late}");
    assert_eq!(takes_over(false, 0), None);
}

#[test]
fn a_released_router_stays_away_until_it_is_claimed_and_then_takes_over_at_once() {
    let mut machine = master(100, Instant::now());
    let now = machine.next_deadline().unwrap();
    machine.release(now);
    let told = Action::Tell(News::Became(State::Released));
    assert_eq!(machine.actions(), [Action::Drop, Action::Send(0), told]);
    assert_eq!(machine.next_deadline(), None);
    machine.heard(ip(2), 50, SECOND, now);
    machine.tick(now + 60 * SECOND);
    assert_eq!(
        (machine.state(), machine.master()),
        (State::Released, Some(ip(2)))
    );
    machine.claim(now + 60 * SECOND);
    assert_eq!(machine.state(), State::Master);
}

#[test]
fn an_unfit_door_resigns_and_comes_back_as_backup() {
    let mut machine = master(100, Instant::now());
    let now = machine.next_deadline().unwrap();
    machine.set_fit(false, now);
    assert_eq!(machine.state(), State::Fault);
    assert!(
        machine
            .actions()
            .starts_with(&[Action::Drop, Action::Send(0)])
    );
    machine.set_fit(true, now);
    assert_eq!(machine.state(), State::Backup);
}

#[test]
fn a_thawed_master_does_not_fight() {
    let mut machine = master(100, Instant::now());
    let sent = machine.next_deadline().unwrap() - SECOND;
    // The next door, at the same priority, takes over no sooner.
    let followed = sent + 3 * SECOND + SECOND * 156 / 256;
    machine.tick(followed);
    assert_eq!(machine.state(), State::Backup);
    let actions = machine.actions();
    assert!(actions.contains(&Action::Drop) && actions.contains(&Action::Tell(News::Froze)));
    assert!(
        !actions
            .iter()
            .any(|action| matches!(action, Action::Send(_))),
        "{actions:?}"
    );
}

#[test]
fn its_own_advert_does_not_frighten_a_master() {
    let mut machine = master(100, Instant::now());
    let now = machine.next_deadline().unwrap();
    machine.heard(ip(1), 200, SECOND, now);
    assert_eq!(machine.state(), State::Master);
    assert!(machine.actions().is_empty());
}

#[test]
fn a_flood_of_lower_adverts_is_not_answered_one_by_one() {
    let mut machine = master(100, Instant::now());
    let now = machine.next_deadline().unwrap();
    for number in 0..1000 {
        machine.heard(ip(2), 1, SECOND, now + Duration::from_micros(number));
    }
    let sent = machine
        .actions()
        .into_iter()
        .filter(|a| *a == Action::Send(100))
        .count();
    assert!(sent <= 1, "{sent}");
}

#[test]
fn neighbours_are_told_again_after_a_while_and_from_time_to_time() {
    let begin = Instant::now();
    let mut machine = master(100, begin);
    let mut now = machine.since();
    let mut told = Vec::new();
    while now < machine.since() + Duration::from_secs(130) {
        now = machine.next_deadline().unwrap();
        machine.tick(now);
        if machine.actions().contains(&Action::Announce) {
            told.push((now - machine.since()).as_secs());
        }
    }
    assert_eq!(told, [5, 65, 125]);
}
