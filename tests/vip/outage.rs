//! The time without the address, as a client sees it that connects every five milliseconds.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{door, fast, old, pair, skew, vip, with_each_version};
use crate::support::door::eventually;
use crate::support::keepalived::{Instance, Keepalived};
use crate::support::netns::{Host, Lab};
use crate::support::vip::{Door, LIMIT, PORT, Plan};

/// From one try to the next.
const EVERY: Duration = Duration::from_millis(5);
/// What the machine and the tries themselves add.
const NOISE: Duration = Duration::from_millis(50);

/// Whoever measures is not disturbed by others who do.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Connects to the address again and again until `over`; says when it succeeded.
fn knock(client: &Host, served: &Arc<Mutex<Vec<Instant>>>, over: &AtomicBool) {
    client.inside(async || {
        let mut due = tokio::time::interval(EVERY);
        while !over.load(Ordering::SeqCst) {
            due.tick().await;
            let served = served.clone();
            // One that is not answered is not waited for: the next one is on its way.
            tokio::spawn(async move {
                let connect = tokio::net::TcpStream::connect(door());
                if let Ok(Ok(stream)) = tokio::time::timeout(LIMIT / 30, connect).await {
                    served.lock().unwrap().push(Instant::now());
                    // It is reset, so that nothing of it is left.
                    let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                }
            });
        }
    });
}

/// The longest time between two connections of `client` while `happens`, and until the next one after it.
fn longest_gap(client: &Host, happens: impl FnOnce()) -> Duration {
    let served = Arc::<Mutex<Vec<Instant>>>::default();
    let over = AtomicBool::new(false);
    let last = || served.lock().unwrap().last().copied();
    std::thread::scope(|scope| {
        let knocking = scope.spawn(|| knock(client, &served, &over));
        eventually("the client is served", LIMIT, || last().is_some());
        happens();
        let done = Instant::now();
        eventually("the client is served again", LIMIT, || last() > Some(done));
        over.store(true, Ordering::SeqCst);
        knocking.join().unwrap();
    });
    let served = served.lock().unwrap();
    let gaps = served.windows(2).map(|pair| pair[1] - pair[0]);
    gaps.max().unwrap_or_default()
}

/// What a client sees of a keepalived pair whose master crashes together with what it served.
fn gap_of_keepalived(instance: impl Fn(u8) -> Instance) -> Option<Duration> {
    let lab = Lab::new(3)?;
    let serve = |number| {
        let listen = async || TcpListener::bind(("0.0.0.0", PORT)).unwrap();
        let listener = lab.host(number).inside(listen);
        let serving = listener.try_clone().unwrap();
        std::thread::spawn(move || for _ in serving.incoming().map_while(Result::ok) {});
        listener
    };
    let (dying, _living) = (serve(1), serve(2));
    let mut first = Keepalived::start(lab.host(1), &instance(200));
    let _second = Keepalived::start(lab.host(2), &instance(100));
    eventually("host 1 alone has it", LIMIT, || lab.holders(vip()) == [1]);
    Some(longest_gap(lab.host(3), || {
        first.crash();
        socket2::SockRef::from(&dying)
            .shutdown(std::net::Shutdown::Both)
            .unwrap();
        eventually("host 2 has it", LIMIT, || lab.host(2).has(vip()));
    }))
}

/// What a client sees of a pair of Seawalls whose master crashes, and how long the dead host had the address.
fn gap_of_seawall(instance: impl Fn(u8) -> Instance) -> Option<(Duration, Duration)> {
    let lab = Lab::new(3)?;
    let mut first = Door::start(lab.host(1), &Plan::new(&instance(200)));
    let _second = Door::start(lab.host(2), &Plan::new(&instance(100)));
    eventually("host 1 alone has it", LIMIT, || lab.holders(vip()) == [1]);
    let mut died = Instant::now();
    let gap = longest_gap(lab.host(3), || {
        first.crash();
        died = Instant::now();
        eventually("host 2 has it", LIMIT, || lab.host(2).has(vip()));
    });
    eventually("it is gone from the dead host", LIMIT, || {
        lab.holders(vip()) == [2]
    });
    Some((gap, died.elapsed()))
}

#[test]
fn at_a_crash_of_the_master_clients_wait_no_longer_than_with_keepalived() {
    let _alone = alone();
    let (ours, theirs) = std::thread::scope(|scope| {
        let ours = scope.spawn(|| gap_of_seawall(old));
        let theirs = scope.spawn(|| gap_of_keepalived(old));
        (ours.join().unwrap(), theirs.join().unwrap())
    });
    let (Some((ours, held)), Some(theirs)) = (ours, theirs) else {
        return;
    };
    eprintln!(
        "adverts every second: {ours:?} without the address, keepalived {theirs:?}; a dead host had it for {held:?}"
    );
    // The last advert may have come just before the crash, or a second before.
    assert!(
        ours <= theirs + Duration::from_secs(1) + NOISE,
        "{ours:?}, {theirs:?}"
    );
    let down = 3 * Duration::from_secs(1) + skew(&old(100));
    assert!(ours <= down + NOISE, "{ours:?}");
    // The kernel looks for such addresses once a second.
    assert!(held <= Duration::from_secs(5), "{held:?}");
}

#[test]
fn at_a_crash_of_a_master_with_ten_adverts_a_second_clients_wait_four_tenths_of_one() {
    let _alone = alone();
    let Some((gap, held)) = gap_of_seawall(fast) else {
        return;
    };
    eprintln!("adverts every 100 ms: {gap:?} without the address; a dead host had it for {held:?}");
    assert!(gap <= Duration::from_millis(400), "{gap:?}");
    assert!(held <= Duration::from_secs(5), "{held:?}");
}

#[test]
fn at_a_planned_hand_over_clients_wait_for_the_skew_time_of_the_next_door() {
    let _alone = alone();
    with_each_version(|instance| {
        let Some(lab) = Lab::new(3) else { return };
        let [first, _second] = pair(&lab, |priority| Plan::new(&instance(priority)));
        let gap = longest_gap(lab.host(3), || {
            let told = first.tell(&["vip", "release"]);
            assert!(told.status.success(), "{told:?}");
            eventually("host 2 has it", LIMIT, || lab.holders(vip()) == [2]);
        });
        let second = instance(100);
        let skew = skew(&second);
        eprintln!(
            "planned, version {}: {gap:?} without the address, skew time {skew:?}",
            second.version
        );
        assert!(gap <= skew + Duration::from_millis(50) + NOISE, "{gap:?}");
    });
}

#[test]
fn a_frozen_master_loses_the_address_to_its_peer_and_does_not_fight_for_it_when_it_thaws() {
    let Some(lab) = Lab::new(3) else { return };
    let patient = |priority| Instance {
        nopreempt: true,
        ..fast(priority)
    };
    let first = Door::start(lab.host(1), &Plan::new(&patient(200)));
    eventually("host 1 has it", LIMIT, || lab.holders(vip()) == [1]);
    let second = Door::start(lab.host(2), &Plan::new(&patient(100)));
    second.becomes("backup");
    let frozen = Instant::now();
    first.signal(Signal::SIGSTOP);
    eventually("host 2 takes over", LIMIT, || lab.host(2).has(vip()));
    let took = frozen.elapsed();
    eventually("the frozen host has lost it", LIMIT, || {
        lab.holders(vip()) == [2]
    });
    eprintln!(
        "frozen: the other one took over after {took:?}, the frozen one had it for {:?}",
        frozen.elapsed()
    );
    assert!(frozen.elapsed() <= Duration::from_secs(5));
    first.signal(Signal::SIGCONT);
    first.says("did not run for so long");
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        assert_eq!(lab.holders(vip()), [2]);
    }
    assert_ne!(first.state(), "master");
    assert_eq!(first.transitions("master"), 1.0);
    assert_eq!(second.transitions("master"), 1.0);
}

#[test]
fn a_master_that_was_frozen_for_less_than_a_lifetime_gives_the_address_up_when_it_thaws() {
    let Some(lab) = Lab::new(3) else { return };
    let patient = |priority| Instance {
        nopreempt: true,
        ..fast(priority)
    };
    let first = Door::start(lab.host(1), &Plan::new(&patient(200)));
    eventually("host 1 has it", LIMIT, || lab.holders(vip()) == [1]);
    let second = Door::start(lab.host(2), &Plan::new(&patient(100)));
    second.becomes("backup");
    first.signal(Signal::SIGSTOP);
    let frozen = Instant::now();
    eventually("host 2 takes over", LIMIT, || lab.host(2).has(vip()));
    eventually("it is away for a second", LIMIT, || {
        frozen.elapsed() >= Duration::from_secs(1)
    });
    assert_eq!(lab.holders(vip()), [1, 2]);
    first.signal(Signal::SIGCONT);
    eventually("host 1 gives it up", Duration::from_secs(1), || {
        lab.holders(vip()) == [2]
    });
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        assert_eq!(lab.holders(vip()), [2]);
    }
    assert_eq!(first.state(), "backup");
}

#[test]
fn a_backup_that_was_frozen_does_not_take_over_from_a_master_that_lives() {
    let Some(lab) = Lab::new(2) else { return };
    let [first, second] = pair(&lab, |priority| Plan::new(&fast(priority)));
    for _ in 0..3 {
        let frozen = Instant::now();
        second.signal(Signal::SIGSTOP);
        eventually("it is away for half a second", LIMIT, || {
            frozen.elapsed() >= Duration::from_millis(500)
        });
        second.signal(Signal::SIGCONT);
        second.becomes("backup");
    }
    assert_eq!(lab.holders(vip()), [1]);
    assert_eq!(first.state(), "master");
    assert_eq!(second.transitions("master"), 0.0);
}
