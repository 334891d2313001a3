//! From what a request asks to the course that it takes.

use super::Placement;
use super::course::{self, Course};
use super::demand::{Asks, Demand, first};
use super::layout::Layout;
use crate::harbor::class::Class;
use crate::session::key::{Key, Kind};
use crate::session::{Recalled, Sessions};
use crate::upstream::cluster::{Cluster, Tied};
use crate::upstream::nodes::Nodes;

/// Everything a course is made from.
pub struct Chart<'a> {
    /// Where the data are.
    pub placement: &'a Placement,
    /// What sticks.
    pub sessions: &'a Sessions,
    /// The nodes and how they are.
    pub cluster: &'a Cluster,
    /// Of the request.
    pub class: Class,
}

impl Chart<'_> {
    /// The course of a request that asks for `asks` and is tied to a node, perhaps.
    pub async fn plot(&self, asks: &Asks, tied: Option<Tied>) -> Course {
        let layout = self.placement.layout();
        let layout = &**layout;
        let reads = || course::reads(layout);
        let mut last_word = Nodes::NONE;
        let (legs, climbs) = match &asks.demand {
            Demand::Any => (reads(), true),
            Demand::Own(nodes) => (vec![*nodes], false),
            // Where its bytes are is known: who writes the project matters only if they are lost.
            Demand::Write(project) if tied.is_some() => {
                (vec![self.remembered(layout, project)], false)
            }
            Demand::Write(project) => (self.writer(layout, project).await, false),
            Demand::Look(repository) => {
                let mut legs = self.writer(layout, first(repository)).await;
                last_word = legs.first().copied().unwrap_or_default();
                let behind = self.placement.journal.behind(repository);
                legs.extend(reads().into_iter().map(|leg| leg.without(behind)));
                (legs, true)
            }
            Demand::Word(project) => {
                let mut legs = vec![self.remembered(layout, project)];
                legs.extend(reads());
                (legs, false)
            }
            Demand::Content(repository) => {
                let behind = self.placement.journal.behind(repository);
                let mut legs: Vec<Nodes> =
                    reads().into_iter().map(|leg| leg.without(behind)).collect();
                legs.push(behind);
                (legs, true)
            }
            Demand::Name(repository) => {
                let journal = &self.placement.journal;
                // Tags that a peer did not miss are as good there as ever.
                let lack = match &asks.image {
                    Some(image) => journal.lacks(repository, &image.reference),
                    None => journal.behind(repository),
                };
                let mut legs: Vec<Nodes> =
                    self.lately(layout, repository).await.into_iter().collect();
                legs.extend(reads().into_iter().map(|leg| leg.without(lack)));
                (legs, true)
            }
        };
        let serves = |nodes| self.cluster.serves_among(self.class, nodes);
        let mut course = Course::new(&legs, climbs, serves).ending_with(last_word);
        if let Some(key) = asks.key {
            course = course.known_to(self.placement.accepting(key));
        }
        match tied.and_then(|tied| layout.node(tied.seed())) {
            Some(index) => course.first(Nodes::only(index)),
            None => course,
        }
    }

    /// The nodes that took the last push of a repository, if there was one a moment ago; also where that cannot be known in
    /// time.
    async fn lately(&self, layout: &Layout, repository: &str) -> Option<Nodes> {
        let writer = || self.remembered(layout, first(repository));
        match self.sessions.recall(Key::new(Kind::Push, repository)).await {
            Recalled::Known(entry) => {
                let place = layout
                    .node(entry.seed)
                    .and_then(|node| layout.store_of(node));
                Some(place.map_or_else(writer, |place| layout.nodes_of(place)))
            }
            Recalled::Unsure => Some(writer()),
            Recalled::Unknown => None,
        }
    }

    /// The nodes that write `project`, as far as this door knows; for reads.
    fn remembered(&self, layout: &Layout, project: &str) -> Nodes {
        let writers = &self.placement.writers;
        let journalled = self.placement.journal.latest(project);
        let known = journalled.and_then(|seed| layout.store_of(layout.node(seed)?));
        known
            .or_else(|| writers.remembered(layout, self.sessions, project))
            .map_or(Nodes::NONE, |place| layout.nodes_of(place))
    }

    /// The nodes that write `project`; when they cannot, others take it over.
    async fn writer(&self, layout: &Layout, project: &str) -> Vec<Nodes> {
        let writers = &self.placement.writers;
        let Some(place) = writers.of(layout, self.sessions, project).await else {
            return Vec::new();
        };
        let nodes = layout.nodes_of(place);
        if self.writes(nodes) {
            return vec![nodes];
        }
        vec![
            self.takes_over(layout, project, place, Nodes::NONE)
                .await
                .unwrap_or(nodes),
        ]
    }

    fn writes(&self, nodes: Nodes) -> bool {
        self.cluster.serves_among(self.class, nodes)
            && self.cluster.serves_among(Class::ManifestWrite, nodes)
            && !self.cluster.only_reads(nodes)
    }

    /// Lets another storage, of which no node was `tried`, write `project` instead of the one at `place`. `None` if no
    /// other can.
    async fn takes_over(
        &self,
        layout: &Layout,
        project: &str,
        place: usize,
        tried: Nodes,
    ) -> Option<Nodes> {
        let able = |other: &usize| {
            let nodes = layout.nodes_of(*other);
            *other != place && nodes.among(tried).is_empty() && self.writes(nodes)
        };
        let next = layout.writers(project).into_iter().find(able)?;
        let (from, to) = (layout.head(place)?, layout.head(next)?);
        let shown = if project.is_empty() {
            "(none)"
        } else {
            project
        };
        tracing::warn!(
            project = shown, %from, %to,
            "its writer cannot take pushes: another node writes the project from now on, and stays its writer"
        );
        self.placement
            .writers
            .settle(layout, self.sessions, project, next)
            .await;
        Some(layout.nodes_of(next))
    }

    /// The course for a request that writes and could not be sent to any node of its course: to those that take the
    /// project over.
    pub async fn elsewhere(&self, asks: &Asks, tried: Nodes) -> Option<Course> {
        let project = asks.writes().filter(|_| !tried.is_empty())?;
        let layout = self.placement.layout();
        let layout = &**layout;
        let place = self
            .placement
            .writers
            .remembered(layout, self.sessions, project)?;
        let nodes = match layout.nodes_of(place).among(tried).is_empty() {
            // Another request has moved it meanwhile.
            true => layout.nodes_of(place),
            false => self.takes_over(layout, project, place, tried).await?,
        };
        Some(Course::new(&[nodes.without(tried)], false, |_| true))
    }
}
