//! The configurations that come with Seawall, and one as operators write it.

use super::*;

const MINIMAL: &str = include_str!("../../../config/minimal.toml");
const EXAMPLE: &str = include_str!("../../../config/example.toml");
const HA: &str = include_str!("../../../config/ha.toml");
const TIERED: &str = include_str!("../../../config/tiered.toml");

#[test]
fn the_minimal_configuration_says_nothing_but_doors_and_nodes() {
    let config = read(MINIMAL).unwrap();
    assert_eq!(config.listen.len(), 2);
    assert!(config.listen[0].tls() && config.listen[1].redirect_to_https);
    assert_eq!(config.cluster.node.len(), 2);
    assert_eq!(config.health, Health::default());
    assert_eq!(config.state_dir, Path::new("/var/lib/seawall"));
}

#[test]
fn the_configuration_of_a_pair_shares_what_sticks() {
    let config = read(HA).unwrap();
    assert!(config.sessions.store.is_some());
    assert_eq!(config.warnings(), []);
}

#[test]
fn the_configuration_of_a_city_has_three_tiers() {
    let config = read(TIERED).unwrap();
    assert_eq!(config.cluster.topology, Topology::Tiered);
    let tiers = config.cluster.node.iter().map(|node| node.part.tier);
    assert_eq!(tiers.collect::<Vec<_>>(), [0, 0, 1, 2].map(Some));
    assert_eq!(config.warnings(), []);
}

#[test]
fn the_example_shows_the_defaults() {
    let (minimal, example) = (read(MINIMAL).unwrap(), read(EXAMPLE).unwrap());
    let expected = Config {
        listen: example.listen.clone(),
        cluster: example.cluster.clone(),
        ..minimal
    };
    assert_eq!(example, expected);
    assert_eq!(example.cluster.node[0].weight, 10);
    assert_eq!(example.cluster.balance, Algorithm::default());
}

#[test]
fn the_example_has_every_key() {
    let mut complete = EXAMPLE.to_owned();
    complete.push_str("[cluster.account]\nuser = \"u\"\npassword = \"p\"\n");
    let vip = "[vip]\ninterface = \"eth0\"\n[[vip.instance]]\nrouter_id = 1\naddresses = [\"10.0.0.9\"]\n";
    complete.push_str(vip);
    let (_, known) = read_text(&complete, Path::new("f"), Files::LeftAlone).unwrap();
    let shown = keys_shown(EXAMPLE);
    let hidden: Vec<_> = known.difference(&shown).collect();
    assert!(hidden.is_empty(), "{hidden:?}");
}

/// Every table and key in `text`, those in comments included.
fn keys_shown(text: &str) -> BTreeSet<String> {
    let mut shown = BTreeSet::new();
    let mut table = String::new();
    for line in text.lines() {
        let line = line.trim_start_matches("# ");
        if line.starts_with('[') && line.ends_with(']') {
            table = line.trim_matches(['[', ']']).to_owned();
            let parts: Vec<_> = table.split('.').collect();
            shown.extend((1..=parts.len()).map(|end| parts[..end].join(".")));
        } else if let Some((key, value)) = line.split_once(" = ") {
            let path = notes::join(&table, key);
            if let Some(inner) = value.strip_prefix("{ ") {
                let pairs = inner.split(", ").filter_map(|pair| pair.split_once(" = "));
                shown.extend(pairs.map(|(key, _)| format!("{path}.{key}")));
            }
            shown.insert(path);
        }
    }
    shown
}

#[test]
fn a_configuration_as_operators_write_it_is_read() {
    let text = r#"
[[listen]]
address = "0.0.0.0:8443"
hosts = ["Registry.Example.com"]
proxy_protocol = ["10.0.0.0/8"]
trusted_forwarders = ["192.0.2.7"]
[[listen.certificate]]
chain = "tls/front.pem"
key = "/etc/ssl/front.key"
[[listen]]
address = "[::]:80"
redirect_to_https = true
redirect_port = 8443

[cluster]
public_url = "https://registry.example.com:8443"
topology = "shared"
balance = "ewma"
[[cluster.node]]
name = "north"
url = "https://north.internal"
ca = "tls/inner.pem"
client_certificate = { chain = "tls/c.pem", key = "tls/c.key" }
[[cluster.node]]
name = "south"
core = "http://[fd00::2]:8080"
portal = "http://[fd00::2]:8081"
weight = 3
[cluster.account]
user = "robot$seawall"
password_file = "account"

[health]
probe = "harbor-1.5"
interval = "1s500ms"
[timeouts]
min_rate = 0
[retry]
budget = 1
[admin]
address = "unix:/run/seawall/admin.sock"
[log]
format = "text"
level = "debug"
access = false
"#;
    let config = parse(text, Path::new("/etc/seawall/seawall.toml")).unwrap();
    let door = &config.listen[0];
    assert_eq!(door.hosts, ["registry.example.com"]);
    assert_eq!(door.trusted_forwarders[0].to_string(), "192.0.2.7/32");
    assert_eq!(
        door.certificate[0].chain,
        Path::new("/etc/seawall/tls/front.pem")
    );
    assert_eq!(door.certificate[0].key, Path::new("/etc/ssl/front.key"));
    assert_eq!(door.certificate[0].at.line, 7);
    assert_eq!(config.listen[1].at.line, 10);
    assert_eq!(config.listen[1].redirect_port, Some(8443));
    let south = &config.cluster.node[1];
    assert_eq!((south.at.line, south.weight), (24, 3));
    let urls: Vec<_> = south.endpoints.all().map(Url::to_string).collect();
    assert_eq!(urls, ["http://[fd00::2]:8080", "http://[fd00::2]:8081"]);
    assert!(config.cluster.node[0].client_certificate.is_some());
    assert_eq!(config.cluster.balance, Algorithm::Ewma);
    assert_eq!(config.health.probe, Probe::Harbor15);
    assert_eq!(config.health.interval, Duration::from_millis(1500));
    assert_eq!(config.timeouts.min_rate, 0);
    assert_eq!(config.log.level, Level::Debug);
    let socket = AdminAddress::Unix("/run/seawall/admin.sock".into());
    assert_eq!(config.admin.address, socket);
}
