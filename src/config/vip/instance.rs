//! `[[vip.instance]]`: one virtual router.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::read_interface;
use crate::config::node::read_name;
use crate::config::scope::Scope;
use crate::config::{At, Secret, Wrong, duration};

const PRIORITY: u8 = 100;
/// The priority of a router whose interface has the address itself (RFC 9568 section 5.2.4).
const OWNER: u8 = 255;
/// An advert with more would not fit into one frame with IPv6.
const MOST_ADDRESSES: usize = 64;
const MOST_PEERS: usize = 32;
/// RFC 3768 section 5.3.10.
const LONGEST_PASSWORD: usize = 8;
/// Adverts are seen by everybody on the wire, who may then guess at leisure.
const SHORTEST_KEY: usize = 16;

/// The version of VRRP that an instance speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VrrpVersion {
    /// RFC 3768: IPv4, intervals of whole seconds, a password in clear text.
    V2,
    /// RFC 9568: IPv4 and IPv6, intervals of centiseconds.
    #[default]
    V3,
}

impl VrrpVersion {
    /// The number of it.
    pub const fn number(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

/// One virtual router: some addresses that are together at one door.
#[derive(Clone, Debug, PartialEq)]
pub struct VipInstance {
    /// Where its table begins.
    pub at: At,
    /// What logs, metrics and operators call it: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub name: String,
    /// The same at all doors that share the addresses, and at nobody else on the wire; never 0.
    pub router_id: u8,
    /// What it speaks.
    pub version: VrrpVersion,
    /// The highest of all doors is master; never 0.
    pub priority: u8,
    /// From one advert to the next: whole seconds with version 2, centiseconds with version 3.
    pub advert_interval: Duration,
    /// Of one family, each with the prefix that it gets at the interface; never empty.
    pub addresses: Vec<IpNet>,
    /// What is in the adverts of version 2, 1 to 8 bytes. Empty when it is in a file and only the text of the
    /// configuration was read.
    pub password: Option<Secret>,
    /// The file that the password came from.
    pub password_file: Option<PathBuf>,
    /// What adverts between Seawalls are signed with. May be empty as the password may.
    pub key: Option<Secret>,
    /// The file that the key came from.
    pub key_file: Option<PathBuf>,
    /// Where adverts go and come from; empty: multicast.
    pub peers: Vec<IpAddr>,
    /// Whether all peers are Seawalls.
    pub seawall_peers: bool,
    /// Where adverts are sent from; none: the first address of the interface.
    pub source: Option<IpAddr>,
    /// Whether a door takes the addresses from one with a lower priority.
    pub preempt: bool,
    /// How long it waits before it does.
    pub preempt_delay: Duration,
    /// Where the addresses are.
    pub interface: String,
    /// Instances with the same word change hands together.
    pub sync_group: Option<String>,
    /// Other interfaces without which it gives up its addresses.
    pub track_interfaces: Vec<String>,
}

impl VipInstance {
    /// `interface`: the one of `[vip]`.
    pub(super) fn read(mut scope: Scope<'_>, interface: Option<&str>) -> Option<Self> {
        let router_id = scope.number("router_id", 1..=u8::MAX);
        scope.need(
            "router_id",
            "write the number that all doors share, 1 to 255",
        );
        let name = scope.word("name", |name| read_name(name, "an instance"));
        let version = match scope.number("version", 2..=3) {
            Some(2_u8) => VrrpVersion::V2,
            _ => VrrpVersion::V3,
        };
        let priority = scope.number("priority", 1..=OWNER).unwrap_or(PRIORITY);
        let advert_interval = read_interval(&mut scope, version);
        let addresses = scope.words("addresses", read_address);
        check_addresses(&scope, version, &addresses);
        let first = addresses.first().map(IpNet::addr);

        let password = scope.secret("password", "password_file");
        check_password(&scope, version, password.secret.as_ref());
        let peers = scope.words("peers", |text| read_beside(text, first, &addresses));
        check_peers(&scope, &peers);
        let seawall_peers = scope.flag("seawall_peers").unwrap_or(false);
        let key = scope.secret("key", "key_file");
        check_key(&scope, seawall_peers, key.secret.as_ref());
        let source = scope.word("source", |text| read_beside(text, first, &addresses));

        let preempt = scope.flag("preempt").unwrap_or(true);
        let preempt_delay = scope
            .duration("preempt_delay", Duration::ZERO..=Duration::from_secs(1000))
            .unwrap_or_default();
        if !preempt {
            scope.useless("preempt_delay", "means nothing with preempt = false");
            if priority == OWNER {
                let what = "is false, but the owner of an address (priority 255) always takes it";
                scope.wrong(
                    "preempt",
                    Wrong::new(what, "remove it, or write a lower priority"),
                );
            }
        }
        let own = scope.word("interface", read_interface);
        let sync_group = scope.word("sync_group", |name| read_name(name, "a group"));
        let track_interfaces = scope.words("track_interfaces", read_interface);
        let at = scope.at();
        scope.finish();
        (!addresses.is_empty()).then_some(())?;
        let router_id = router_id?;
        Some(Self {
            at,
            name: name.unwrap_or_else(|| format!("vip-{router_id}")),
            router_id,
            version,
            priority,
            advert_interval,
            addresses,
            password: password.secret,
            password_file: password.file,
            key: key.secret,
            key_file: key.file,
            peers,
            seawall_peers,
            source,
            preempt,
            preempt_delay,
            interface: own.or_else(|| interface.map(str::to_owned))?,
            sync_group,
            track_interfaces,
        })
    }
}

fn read_interval(scope: &mut Scope<'_>, version: VrrpVersion) -> Duration {
    let (range, step) = match version {
        VrrpVersion::V2 => (1_000..=255_000, 1_000),
        VrrpVersion::V3 => (10..=40_000, 10),
    };
    let millis = Duration::from_millis;
    let interval = scope
        .duration(
            "advert_interval",
            millis(*range.start())..=millis(*range.end()),
        )
        .unwrap_or(millis(1_000));
    if !interval.as_millis().is_multiple_of(step) {
        let step = duration::show(Duration::from_millis(step as u64));
        let what = format!("is {}, which adverts cannot say", duration::show(interval));
        let fix = format!("write a multiple of {step}");
        scope.wrong("advert_interval", Wrong::new(what, fix));
    }
    interval
}

/// An address with the length of its network, or alone.
fn read_address(text: &str) -> Result<IpNet, Wrong> {
    let address = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let usable = address.ok().filter(|net| may_be_shared(net.addr()));
    usable.ok_or_else(|| {
        Wrong::new(
            format!("`{}` cannot be a virtual address", text.escape_debug()),
            "write it like \"192.168.198.100/32\" or \"fd00::100/128\"",
        )
    })
}

/// Whether a host may have such an address on an interface.
pub(in crate::config) fn may_be_shared(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !ip.is_unspecified() && !ip.is_multicast() && !ip.is_loopback() && !broadcast
}

/// An address that adverts come from or go to, beside the virtual `addresses`.
fn read_beside(text: &str, first: Option<IpAddr>, addresses: &[IpNet]) -> Result<IpAddr, Wrong> {
    let net = read_address(text).ok();
    let Some(ip) = net.map(|net| net.addr()).filter(|_| !text.contains('/')) else {
        return Err(Wrong::new(
            format!("`{}` is not an address of a host", text.escape_debug()),
            "write an address without a prefix, like \"192.168.198.132\"",
        ));
    };
    if first.is_some_and(|first| first.is_ipv4() != ip.is_ipv4()) {
        return Err(Wrong::new(
            format!("{ip} is of another family than the virtual addresses"),
            "write an address of their family",
        ));
    }
    if addresses.iter().any(|net| net.addr() == ip) {
        return Err(Wrong::new(
            format!("{ip} is one of the virtual addresses"),
            "write the address that the host always has",
        ));
    }
    Ok(ip)
}

fn check_addresses(scope: &Scope<'_>, version: VrrpVersion, addresses: &[IpNet]) {
    let complain = |what: &str, fix: &str| scope.wrong("addresses", Wrong::new(what, fix));
    if !scope.has("addresses") {
        scope.need(
            "addresses",
            "write at least one, like [\"192.168.198.100/32\"]",
        );
        return;
    }
    let v6 = |net: &&IpNet| net.addr().is_ipv6();
    let sixes = addresses.iter().filter(v6).count();
    if sixes > 0 && sixes < addresses.len() {
        complain(
            "mixes IPv4 and IPv6",
            "write an instance for each; sync_group keeps them together",
        );
    } else if sixes > 0 && version == VrrpVersion::V2 {
        complain("has IPv6, which version 2 cannot", "write version = 3");
    }
    if addresses.len() > MOST_ADDRESSES {
        let what = format!("has {} addresses", addresses.len());
        complain(
            &what,
            "write at most 64; sync_group keeps instances together",
        );
    }
}

fn check_password(scope: &Scope<'_>, version: VrrpVersion, password: Option<&Secret>) {
    if version == VrrpVersion::V3 {
        let what = "means nothing with version 3, which has no passwords";
        scope.useless("password", what);
        scope.useless("password_file", what);
    } else if let Some(length) = password.map(|p| p.expose().len())
        && length > LONGEST_PASSWORD
    {
        // Peers cut it to eight bytes in silence; Seawall does not, so that the file says what is on the wire.
        let what = format!("has {length} bytes");
        let fix = "write its first 8: more do not fit into an advert, and keepalived cuts them off";
        scope.wrong(
            place(scope, "password", "password_file"),
            Wrong::new(what, fix),
        );
    }
}

fn check_peers(scope: &Scope<'_>, peers: &[IpAddr]) {
    let twice = peers
        .iter()
        .enumerate()
        .find(|(at, ip)| peers.iter().take(*at).any(|other| other == *ip));
    if let Some((_, ip)) = twice {
        let what = format!("names {ip} twice");
        scope.wrong("peers", Wrong::new(what, "remove one of the two"));
    }
    if peers.len() > MOST_PEERS {
        let what = format!("has {} peers", peers.len());
        scope.wrong("peers", Wrong::new(what, "write at most 32"));
    }
    if !scope.has("peers") {
        scope.useless("seawall_peers", "means nothing without peers");
    }
}

fn check_key(scope: &Scope<'_>, seawall_peers: bool, key: Option<&Secret>) {
    if !scope.has("key") && !scope.has("key_file") {
        return;
    }
    let at = place(scope, "key", "key_file");
    if !scope.has("peers") || !seawall_peers {
        // keepalived drops frames of a length that it does not expect, so that both would be master.
        let what = "signs adverts in a way that only Seawall reads";
        let fix = "name all doors in `peers` and write seawall_peers = true, or remove the key";
        scope.wrong(at, Wrong::new(what, fix));
    }
    let length = key.map_or(0, |key| key.expose().len());
    if (1..SHORTEST_KEY).contains(&length) {
        let what = format!("has {length} bytes, few enough to guess");
        scope.wrong(at, Wrong::new(what, "write at least 16 random ones"));
    }
}

/// The one of the two keys that is there.
fn place(scope: &Scope<'_>, key: &'static str, key_file: &'static str) -> &'static str {
    if scope.has(key) { key } else { key_file }
}
