//! Cases about what wears a device down: power cuts, thousands of clients and uploads, a whole day.
//!
//! They decide requirements of several groups. Most are [long](rigor_runner::case::Case::long); what
//! they look for has a small sample in a short case too, where that is possible.

mod aim;
mod day;
mod provisioning_cuts;
mod trend;
mod turns;
mod upload_cuts;
mod uploads;
mod victim;

use rigor_runner::Suite;

pub(crate) use trend::Trend;

pub(crate) fn add_to(suite: &mut Suite) {
    upload_cuts::add_to(suite);
    provisioning_cuts::add_to(suite);
    uploads::add_to(suite);
    day::add_to(suite);
}
