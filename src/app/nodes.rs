//! The nodes of a running process: asked how they are, looked about among, told what operators want of them.

use std::sync::Arc;

use super::Process;
use crate::doctor;
use crate::front::admit::share;
use crate::placement::{obey, scout};
use crate::reload::World;
use crate::session::doors::Report;
use crate::session::upkeep;
use crate::state::snapshot::Snapshot;
use crate::upstream::probe::Prober;

impl Process {
    /// Starts the upkeep of the current world's sessions; that of the last world's ends.
    pub(super) fn keep_sessions(&mut self) {
        self.world.sessions.in_force();
        let door = self.door.clone();
        let report = move || {
            let mut report = Report::default();
            for backend in door.state.read().cluster.members() {
                let name = backend.name.as_ref().to_owned();
                let busy = backend.capacity.in_flight();
                if busy > 0 {
                    report.busy.insert(name.clone(), busy);
                }
                report.nodes.insert(name, backend.url());
            }
            report
        };
        self.upkeep = upkeep::start(&self.world.sessions, Arc::new(report));
        let told = share::keep(self.door.clone(), self.world.sessions.clone());
        self.upkeep.spawn(told);
    }

    /// Probes the nodes of the current world, finds out what else requests have to know of them, and has the doctor
    /// look once whether they are one cluster.
    pub(super) fn look_after_nodes(&mut self) {
        let World { snapshot, plan, .. } = &self.world;
        self.probers = Prober::start(&snapshot.cluster, plan);
        scout::start(
            &mut self.probers,
            &snapshot.placement,
            &snapshot.cluster,
            plan,
        );
        doctor::start(&mut self.probers, &self.world.config);
    }

    /// Makes the nodes do what operators said, here or at another door.
    pub(super) fn obey(&self) {
        let snapshot = self.world.snapshot.clone();
        tokio::spawn(async move {
            let grace = snapshot.patience.maintenance;
            let Snapshot {
                cluster,
                sessions,
                placement,
                ..
            } = &*snapshot;
            obey::obey(cluster, sessions, placement, grace).await;
        });
    }
}
