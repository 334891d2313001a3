//! The room `health`: from single good and bad signs to a state that does not flutter.
//!
//! Pure: time comes in as an argument, nothing is probed and nobody is asked here.

pub mod compare;
pub mod gauge;
pub mod history;
pub mod outlier;
pub mod slow_start;
pub mod threshold;

pub use compare::Measure;
pub use outlier::{Outlier, may_eject};
pub use threshold::Threshold;
