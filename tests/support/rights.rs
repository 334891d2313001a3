//! What the threads of a process may do, as the kernel tells it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// `CAP_NET_BIND_SERVICE`, and `CAP_NET_ADMIN` with `CAP_NET_RAW`, as bits (linux/capability.h).
pub const LISTEN: u64 = 1 << 10;
pub const ADDRESSES: u64 = 1 << 12 | 1 << 13;

/// `/proc/PID/status` of a thread.
pub struct Status(BTreeMap<String, String>);

impl Status {
    pub fn of_all(process: u32) -> Vec<Status> {
        let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
        let status = |thread: PathBuf| fs::read_to_string(thread.join("status")).ok();
        let texts = threads.filter_map(|thread| status(thread.unwrap().path()));
        texts.map(|text| Status::read(&text)).collect()
    }

    pub fn read(text: &str) -> Status {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        Status(
            lines
                .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
                .collect(),
        )
    }

    pub fn word(&self, key: &str) -> &str {
        &self.0[key]
    }

    pub fn name(&self) -> &str {
        &self.0["Name"]
    }

    pub fn bits(&self, key: &str) -> u64 {
        u64::from_str_radix(&self.0[key], 16).unwrap()
    }

    pub fn rights(&self) -> [u64; 4] {
        ["CapEff", "CapPrm", "CapInh", "CapAmb"].map(|key| self.bits(key))
    }
}

/// Every thread of the process is of this user and group, and has the rights that it needs.
pub fn assert_lowered(process: u32, [uid, gid]: &[String; 2]) {
    let threads = Status::of_all(process);
    let four = |id: &str| [id; 4].join("\t");
    let mut seen = BTreeMap::new();
    for thread in &threads {
        let name = thread.name();
        assert_eq!(thread.word("Uid"), four(uid), "{name}");
        assert_eq!(thread.word("Gid"), four(gid), "{name}");
        assert_eq!(thread.word("NoNewPrivs"), "1", "{name}");
        let rights = thread.rights();
        let kind = match name {
            "seawall-vip" => {
                assert_eq!(rights, [ADDRESSES, ADDRESSES, 0, 0], "{name}");
                "vip"
            }
            "seawall-keeper" => {
                let all = LISTEN | ADDRESSES;
                assert_eq!(rights, [0, all, all, all], "{name}");
                "keeper"
            }
            data if data.starts_with("seawall-data") => {
                assert_eq!(rights, [0; 4], "{name}");
                "data"
            }
            _ => {
                let [effective, permitted, inheritable, ambient] = rights;
                assert_eq!((effective | permitted) & !LISTEN, 0, "{name}");
                assert_eq!((inheritable, ambient), (0, 0), "{name}");
                "other"
            }
        };
        *seen.entry(kind).or_insert(0) += 1;
    }
    assert_eq!((seen["vip"], seen["keeper"]), (1, 1), "{seen:?}");
    assert!(seen["data"] >= 1 && seen["other"] >= 1, "{seen:?}");
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core"));
    let core: Vec<&str> = core.unwrap().split_whitespace().skip(4).take(2).collect();
    assert_eq!(core, ["0", "0"], "core dumps");
    // Nobody but root may look into a process that leaves no dumps.
    let owner = fs::metadata(format!("/proc/{process}/mem")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&owner), 0);
}
