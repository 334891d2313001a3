//! What is true of many words alike.

pub(super) const MAIL: &str = "Seawall sends no mail; alert on its metrics, such as seawall_vip_transitions_total and seawall_node_up";
pub(super) const PROCESS: &str = "is about keepalived's own processes";
pub(super) const ARP: &str =
    "not needed: Seawall repeats its announcements and refreshes them by itself";
pub(super) const LVS: &str = "is about LVS, which Seawall does not use";
pub(super) const SCRIPTS: &str = "Seawall runs no scripts";
pub(super) const ROUTES: &str =
    "not possible: Seawall adds no routes or rules; let the network settings of the host do it";
pub(super) const ALSO: &str = "not possible: Seawall watches the interfaces and itself only";
