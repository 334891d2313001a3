//! Two nodes, one of them behind a relay that dies, a door, and someone with a client.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;

use super::people::{Client, Person, REPOSITORY, TAG};
use super::table::{Command, Outcome};
use crate::support::clients::Told;
use crate::support::cluster::Cluster;
use crate::support::door::eventually;
use crate::support::harbor::Dialect;
use crate::support::ports;
use crate::support::relay::{Moment, Operation, Relay};

pub struct Scene {
    person: Person,
    cluster: Cluster,
    relay: Relay,
    /// What the client asks for, undisturbed.
    asked: HashMap<Command, Vec<Operation>>,
    /// What the tag stands for.
    tagged: Option<String>,
}

impl Scene {
    pub async fn set(client: Client) -> Self {
        let mut addresses = vec![ports::free(), ports::free()];
        let relay = Relay::before(addresses[0]);
        let node = |options: &mut crate::support::harbor::Options| {
            options.address = addresses.remove(0);
            options.timing.body_stall = Duration::from_secs(60);
            options.timing.proxy_v2 = Duration::from_secs(900);
        };
        // All goes to the node that is to die, as long as it lives, and again when it is back.
        let door = |plan: &mut crate::support::door::Plan| {
            plan.nodes[0].1 = format!("http://{}", relay.address);
            plan.keys = vec!["weight = 1000".to_owned(), "weight = 1".to_owned()];
            plan.more += "[outlier]\nmax_percent = 0\n[timeouts]\nconnect = \"500ms\"\n";
        };
        let cluster = Cluster::start_with(Dialect::Harbor2, 2, node, door).await;
        let mut scene = Scene {
            person: Person::new(client, &cluster.door),
            cluster,
            relay,
            asked: HashMap::new(),
            tagged: None,
        };
        for command in [Command::Login, Command::Push, Command::Pull] {
            scene.prepare(command);
            scene.relay.listens();
            scene.run(command).done();
            scene.asked.insert(command, scene.relay.heard());
        }
        println!("{client:?} asks for {:?}", scene.asked);
        scene.look(true, true).await;
        scene
    }

    pub fn asks(&self, command: Command, operation: Operation) -> bool {
        self.asked[&command].contains(&operation)
    }

    fn prepare(&mut self, command: Command) {
        match command {
            Command::Login => {}
            Command::Push => self.person.make(),
            Command::Pull => self.person.forget(),
        }
    }

    fn run(&self, command: Command) -> Told {
        match command {
            Command::Login => self.person.login(),
            Command::Push => self.person.push(),
            Command::Pull => self.person.pull(),
        }
    }

    /// Runs a command whose node dies at that moment. What became of it, and what the client said if it failed.
    pub async fn play(
        &mut self,
        command: Command,
        operation: Operation,
        moment: Moment,
    ) -> (Outcome, String) {
        let what = format!("{command:?} {operation:?} {moment:?}");
        // Rarely a request goes to the other node, in spite of the weights.
        for _ in 0..5 {
            self.prepare(command);
            let before = self.asked[&command]
                .iter()
                .position(|one| *one == operation);
            let before = before.unwrap_or_else(|| panic!("{what}: never asked for"));
            let from = self.cluster.door.log().len();
            self.relay.dies_at(operation, moment, before);
            let told = self.run(command);
            let died = self.relay.is_dead();
            let outcome = match told.ok {
                true if self.saw_failures(from) => Outcome::Retries,
                true => Outcome::Unnoticed,
                false => Outcome::Fails,
            };
            self.settle(command, told.ok, &what).await;
            self.relay.revive();
            let door = &self.cluster.door;
            eventually("the node is trusted again", Duration::from_secs(30), || {
                door.node("harbor-1")["state"] == "up"
            });
            if died {
                let said = if told.ok { "" } else { last_line(&told.err) };
                return (outcome, said.to_owned());
            }
        }
        panic!("{what}: the node was never asked");
    }

    /// Nothing is corrupt or half there; and what failed is done when it is run again, while the node is still dead.
    async fn settle(&mut self, command: Command, ok: bool, what: &str) {
        self.look(command == Command::Push, ok).await;
        if command == Command::Pull {
            assert!(ok || !self.person.has(), "{what}: half an image");
        }
        if !ok {
            let again = self.run(command);
            assert!(again.ok, "{what}: {again:?}");
            self.look(command == Command::Push, true).await;
        }
        if command == Command::Pull {
            assert!(self.person.has_it_whole(), "{what}: another image");
        }
    }

    /// What stands under the tag is whole at every node; another than before only, but then surely, if there was a push
    /// and it was `ok`.
    async fn look(&mut self, pushed: bool, ok: bool) {
        let mut served = Vec::new();
        for node in &self.cluster.nodes {
            let whole = node.serves(REPOSITORY, TAG).await;
            served.push(whole.expect("all of it"));
        }
        assert_eq!(served[0], served[1]);
        if pushed && ok {
            assert!(served[0].is_some() && served[0] != self.tagged);
        }
        assert!(pushed || served[0] == self.tagged);
        self.tagged = served.remove(0);
    }

    /// Whether the door gave a client anything but a good answer, from a line of its log on.
    fn saw_failures(&self, from: usize) -> bool {
        let log = self.cluster.door.log();
        let lines = log[from..].iter();
        let mut lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.any(|line| {
            line["status"].as_u64().is_some_and(|status| status >= 500)
                || line["ended"] == "node_failed"
        })
    }
}

fn last_line(text: &str) -> &str {
    text.trim().lines().last().unwrap_or_default()
}
