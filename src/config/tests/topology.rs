//! What nodes are in their topology.

use super::*;

/// The problems of two nodes with these keys in a cluster with these, as `key: what is wrong`.
fn wrong(cluster: &str, nodes: [&str; 2]) -> Vec<String> {
    let mut text = format!("[[listen]]\naddress = \"127.0.0.1:0\"\n[cluster]\n{cluster}\n");
    for (name, keys) in ["a", "b"].into_iter().zip(nodes) {
        text +=
            &format!("[[cluster.node]]\nname = \"{name}\"\nurl = \"http://10.0.0.1\"\n{keys}\n");
    }
    let problems = read(&text).err().unwrap_or_default();
    let shown = problems
        .iter()
        .map(|p| format!("{}: {}; {}", p.key, p.what, p.fix));
    shown.collect()
}

const PRIMARY: &str = "role = \"primary\"";

#[test]
fn a_key_that_means_nothing_in_the_topology_is_said() {
    for (key, fix) in [
        (
            PRIMARY,
            "write topology = \"primary-replica\", or remove it",
        ),
        ("tier = 1", "write topology = \"tiered\", or remove it"),
    ] {
        let name = key.split(' ').next().unwrap();
        let what = format!("cluster.node.{name}: means nothing with topology \"shared\"; {fix}");
        assert_eq!(wrong("", ["", key]), [what]);
    }
    assert_eq!(
        wrong("", ["storage = \"x\"", ""]),
        [
            "cluster.node.storage: means nothing where all nodes share one storage; remove it, or choose another topology"
        ]
    );
}

#[test]
fn a_primary_is_needed_and_one_is_enough() {
    let topology = "topology = \"primary-replica\"";
    assert_eq!(
        wrong(topology, ["", ""]),
        [
            "cluster.topology: needs a primary; write role = \"primary\" at the node that takes what is written"
        ]
    );
    assert_eq!(
        wrong(topology, [PRIMARY, PRIMARY]),
        [
            "cluster.node.role: `a` is a primary, too; leave one primary; several must name the same `storage`"
        ]
    );
    let shared = format!("{PRIMARY}\nstorage = \"x\"");
    assert_eq!(wrong(topology, [&shared, &shared]), Vec::<String>::new());
    assert_eq!(
        wrong(topology, [PRIMARY, "role = \"replica\""]),
        Vec::<String>::new()
    );
}

#[test]
fn what_is_written_goes_to_a_tier_that_there_is() {
    let topology = "topology = \"tiered\"\nwrite_tier";
    assert_eq!(
        wrong(&format!("{topology} = 3"), ["tier = 0", "tier = 2"]),
        ["cluster.write_tier: is 3, and no node is of that tier; name the tier of a node"]
    );
    assert_eq!(
        wrong(&format!("{topology} = 2"), ["tier = 0", "tier = 2"]),
        Vec::<String>::new()
    );
    let found = wrong("write_tier = 0", ["", ""]);
    assert_eq!(
        found,
        ["cluster.write_tier: means nothing without tiers; remove it"]
    );
}
